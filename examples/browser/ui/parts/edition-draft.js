// A draft that is saved as it is written, one call at a time. What the server does not have yet is
// in this browser's storage; what another editor changed meanwhile is merged, and loses nothing.
import { exchange, Problem, Unreachable } from "../api.js";
import { refuse } from "../forms.js";
import { changedPlaces, flatten, patchOf, rebase } from "./edition-values.js";

// Milliseconds: of a pause in typing, and until the next try when the server can't be reached.
const PAUSE = 1200;
const NEXT_TRY = 5000;
const addressOf = (id) => `/v1/newsletter/editions/${id}`;

/**
 * `{ edition, tag }` as the API gave them. Calls `update` when there is something to show and
 * `onSaved` when the server has another version than before.
 */
export function createDraft({ edition, tag, languages, owner, update, onSaved, signal }) {
  const keptAs = `edition-draft:${owner}:${edition.id}`;
  const draft = {
    edition, tag, base: flatten(edition, languages), mine: flatten(edition, languages),
    conflicts: [], taken: [], wasRestored: false, isSaving: false, savedAt: null,
    // As of a form (forms.js), so that its parts show what was refused.
    refused: new Map(), error: null, isOffline: false,
    set, save, choose, look, follow, dismiss, forget, isDirty, isAutomatic,
  };
  let timer;
  let running = null;
  signal.addEventListener("abort", () => clearTimeout(timer));
  addEventListener("online", () => save(), { signal });
  restore();

  function isDirty() {
    return changedPlaces(draft.base, draft.mine).length > 0;
  }

  /** Nothing half-written may leave, so a scheduled edition is saved only when its editor says so. */
  function isAutomatic() {
    return draft.edition.state === "draft";
  }

  function set(place, value) {
    draft.mine[place] = value;
    draft.refused.delete(place);
    keep();
    wait(PAUSE);
    update();
  }

  function wait(milliseconds) {
    clearTimeout(timer);
    if (isAutomatic() && !signal.aborted) timer = setTimeout(save, milliseconds);
  }

  function keep() {
    if (!isDirty()) return localStorage.removeItem(keptAs);
    const { base, mine } = draft;
    try {
      return localStorage.setItem(keptAs, JSON.stringify({ base, mine }));
    } catch {
      return null; // Storage may be full or forbidden; the text is still on the page.
    }
  }

  function restore() {
    const kept = JSON.parse(localStorage.getItem(keptAs) ?? "null");
    if (!kept) return;
    merge({ body: edition, tag }, kept.base, kept.mine);
    draft.wasRestored = isDirty();
    wait(PAUSE);
  }

  /** Save all that may be; resolves to whether the server has everything now. */
  async function save() {
    clearTimeout(timer);
    while (running) await running;
    const open = new Set(draft.conflicts.filter((each) => !each.choice).map((each) => each.place));
    const places = changedPlaces(draft.base, draft.mine).filter((each) => !open.has(each));
    if (!places.length) return !isDirty();
    running = send(places).finally(() => { running = null; });
    await running;
    if (isDirty() && !draft.error) wait(PAUSE);
    return !isDirty();
  }

  async function send(places) {
    const sent = Object.fromEntries(places.map((each) => [each, draft.mine[each]]));
    Object.assign(draft, { isSaving: true, error: null, isOffline: false });
    update();
    try {
      const body = patchOf(draft.mine, places);
      const answer = await exchange(addressOf(draft.edition.id), { method: "PATCH", body, tag: draft.tag });
      Object.assign(draft, { edition: answer.body, tag: answer.tag, savedAt: new Date() });
      Object.assign(draft.base, sent);
      draft.refused.clear();
      keep();
      onSaved();
    } catch (error) {
      await recover(error);
    } finally {
      draft.isSaving = false;
      if (!signal.aborted) update();
    }
  }

  async function recover(error) {
    if (signal.aborted) return null;
    if (error instanceof Problem && error.status === 412) return adopt().catch(recover);
    draft.refused.clear();
    refuse(draft, error);
    draft.isOffline = error instanceof Unreachable;
    if (draft.isOffline || error.retryAfter) wait(error.retryAfter ? error.retryAfter * 1000 : NEXT_TRY);
    return null;
  }

  /** Take up what the server has by now, under what is written here. */
  async function adopt() {
    const answer = await exchange(addressOf(draft.edition.id), { signal });
    if (answer.tag !== draft.tag && answer.body.version >= draft.edition.version) follow(answer);
  }

  /** The same at any time, in case somebody else was here. */
  async function look() {
    if (!running) await adopt().catch(() => {});
  }

  function follow(answer) {
    merge(answer, draft.base, draft.mine);
    keep();
    if (isDirty()) wait(PAUSE);
    onSaved();
    update();
  }

  function merge({ body, tag: newTag }, base, mine) {
    const merged = rebase(base, mine, flatten(body, languages));
    const taken = [...new Set([...draft.taken, ...merged.taken])];
    Object.assign(draft, { ...merged, taken, edition: body, tag: newTag });
  }

  /** Of two texts for one place, the editor takes "mine" or "theirs", and may change their mind. */
  function choose(conflict, choice) {
    // Either may have been written on since.
    conflict[conflict.choice ?? "mine"] = draft.mine[conflict.place];
    conflict.choice = choice;
    draft.base[conflict.place] = conflict.stored;
    draft.mine[conflict.place] = conflict[choice];
    keep();
    wait(PAUSE * 4);
    update();
  }

  function dismiss() {
    draft.conflicts = draft.conflicts.filter((each) => !each.choice);
    Object.assign(draft, { taken: [], wasRestored: false });
    update();
  }

  function forget() {
    clearTimeout(timer);
    localStorage.removeItem(keptAs);
    draft.mine = { ...draft.base };
  }

  return draft;
}
