// What stays in this browser; where it may keep nothing, until the page is left.

const memory = new Map();

function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export const kept = {
  get: (name) => (storage() ? storage().getItem(name) : (memory.get(name) ?? null)),
  set: (name, value) => (storage() ? storage().setItem(name, value) : memory.set(name, value)),
  drop: (name) => (storage() ? storage().removeItem(name) : memory.delete(name)),
};
