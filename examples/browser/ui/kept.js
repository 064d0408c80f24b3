// What stays in this browser; where it may keep nothing, or has no more room, until the page is left.

/** `area` is a property of the window, which some browsers forbid to read. */
function keptIn(area) {
  const memory = new Map();

  function within(work) {
    try {
      return work(window[area]);
    } catch {
      return undefined;
    }
  }

  return {
    get: (name) => memory.get(name) ?? within((storage) => storage.getItem(name)) ?? null,
    /** Null also for what is no JSON: other programs of this origin keep things here, too. */
    getJson(name) {
      try {
        return JSON.parse(this.get(name));
      } catch {
        return null;
      }
    },
    /** Says whether it outlives the page. */
    set(name, value) {
      const isStored = within((storage) => (storage.setItem(name, value), true)) ?? false;
      if (isStored) memory.delete(name);
      else memory.set(name, value);
      return isStored;
    },
    drop(name) {
      memory.delete(name);
      within((storage) => storage.removeItem(name));
    },
    names: () => [...new Set([...memory.keys(), ...(within(Object.keys) ?? [])])],
  };
}

export const kept = keptIn("localStorage");
export const keptInTab = keptIn("sessionStorage");
