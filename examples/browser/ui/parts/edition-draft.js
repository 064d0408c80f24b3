// A draft that is saved as it is written, one call at a time. What the server does not have yet is
// in this browser's storage; what another editor changed meanwhile is merged, and loses nothing.
import { exchange, Problem, Unreachable } from "../api.js";
import { refuse } from "../forms.js";
import { kept } from "../kept.js";
import { changedPlaces, flatten, patchOf, rebase } from "./edition-values.js";
import { keep as keepOnDevice } from "./kept-drafts.js";

// Milliseconds: of a pause in typing, and until the next try when the server can't be reached.
const PAUSE = 1200;
const NEXT_TRY = 5000;
const addressOf = (id) => `/v1/newsletter/editions/${id}`;

/**
 * `{ edition, tag }` as the API gave them. Calls `update` when there is something to show and
 * `onSaved` when the server has another version than before.
 */
export function createDraft({ edition, tag, languages, owner, update, onSaved, signal }) {
  const about = { languages, update, onSaved, signal, keptAs: `edition-draft:${owner}:${edition.id}` };
  const draft = { ...about, ...begun(edition, tag, languages), timer: null, running: null };
  const acts = { set, save, choose, look, follow, dismiss, forget, isDirty, isAutomatic };
  for (const [name, act] of Object.entries(acts)) draft[name] = (...given) => act(draft, ...given);
  signal.addEventListener("abort", () => clearTimeout(draft.timer));
  addEventListener("online", draft.save, { signal });
  restore(draft);
  return draft;
}

const begun = (edition, tag, languages) => ({
  edition,
  tag,
  base: flatten(edition, languages),
  mine: flatten(edition, languages),
  conflicts: [],
  taken: [],
  wasRestored: false,
  isSaving: false,
  savedAt: null,
  isOffline: false,
  // As of a form (forms.js), so that its parts show what was refused.
  refused: new Map(),
  error: null,
});

const isDirty = ({ base, mine }) => changedPlaces(base, mine).length > 0;

/** Nothing half-written may leave, so a scheduled edition is saved only when its editor says so. */
const isAutomatic = ({ edition }) => edition.state === "draft";

// Writing

function set(draft, place, value) {
  draft.mine[place] = value;
  draft.refused.delete(place);
  changed(draft, PAUSE);
}

/** Of two texts for one place, the editor takes "mine" or "theirs", and may change their mind. */
function choose(draft, conflict, choice) {
  // Either may have been written on since.
  conflict[conflict.choice ?? "mine"] = draft.mine[conflict.place];
  conflict.choice = choice;
  draft.base[conflict.place] = conflict.stored;
  draft.mine[conflict.place] = conflict[choice];
  changed(draft, PAUSE * 4);
}

function changed(draft, pause) {
  keep(draft);
  wait(draft, pause);
  draft.update();
}

function dismiss(draft) {
  const conflicts = draft.conflicts.filter((each) => !each.choice);
  Object.assign(draft, { conflicts, taken: [], wasRestored: false });
  draft.update();
}

function forget(draft) {
  clearTimeout(draft.timer);
  kept.drop(draft.keptAs);
  draft.mine = { ...draft.base };
}

function keep({ keptAs, base, mine }) {
  if (isDirty({ base, mine })) keepOnDevice(keptAs, { base, mine });
  else kept.drop(keptAs);
}

function restore(draft) {
  const unsaved = kept.getJson(draft.keptAs);
  if (!unsaved) return;
  merge(draft, { body: draft.edition, tag: draft.tag }, unsaved);
  draft.wasRestored = isDirty(draft);
  wait(draft, PAUSE);
}

// Saving

function wait(draft, milliseconds) {
  clearTimeout(draft.timer);
  if (!isAutomatic(draft) || draft.signal.aborted) return;
  draft.timer = setTimeout(draft.save, milliseconds);
}

/** Save all that may be; resolves to whether the server has everything now. */
async function save(draft) {
  clearTimeout(draft.timer);
  while (draft.running) await draft.running;
  const open = new Set(draft.conflicts.filter((each) => !each.choice).map((each) => each.place));
  const places = changedPlaces(draft.base, draft.mine).filter((each) => !open.has(each));
  if (!places.length) return !isDirty(draft);
  draft.running = send(draft, places).finally(() => {
    draft.running = null;
  });
  await draft.running;
  if (isDirty(draft) && !draft.error) wait(draft, PAUSE);
  return !isDirty(draft);
}

async function send(draft, places) {
  const sent = Object.fromEntries(places.map((each) => [each, draft.mine[each]]));
  Object.assign(draft, { isSaving: true, error: null, isOffline: false });
  draft.update();
  try {
    const request = { method: "PATCH", body: patchOf(draft.mine, places), tag: draft.tag };
    const answer = await exchange(addressOf(draft.edition.id), request);
    Object.assign(draft, { edition: answer.body, tag: answer.tag, savedAt: new Date() });
    Object.assign(draft.base, sent);
    draft.refused.clear();
    keep(draft);
    draft.onSaved();
  } catch (error) {
    await recover(draft, error);
  } finally {
    draft.isSaving = false;
    if (!draft.signal.aborted) draft.update();
  }
}

async function recover(draft, error) {
  if (draft.signal.aborted) return;
  if (error instanceof Problem && error.status === 412) {
    await adopt(draft).catch((another) => recover(draft, another));
    return;
  }
  draft.refused.clear();
  refuse(draft, error);
  draft.isOffline = error instanceof Unreachable;
  if (error.retryAfter) wait(draft, error.retryAfter * 1000);
  else if (draft.isOffline) wait(draft, NEXT_TRY);
}

// What the server has by now

/** Take it up, under what is written here. */
async function adopt(draft) {
  const answer = await exchange(addressOf(draft.edition.id), { signal: draft.signal });
  const isNewer = answer.body.version >= draft.edition.version;
  if (answer.tag !== draft.tag && isNewer) follow(draft, answer);
}

/** The same at any time, in case somebody else was here. */
async function look(draft) {
  if (!draft.running) await adopt(draft).catch(() => {});
}

function follow(draft, answer) {
  merge(draft, answer, draft);
  keep(draft);
  if (isDirty(draft)) wait(draft, PAUSE);
  draft.onSaved();
  draft.update();
}

function merge(draft, { body, tag }, { base, mine }) {
  const merged = rebase(base, mine, flatten(body, draft.languages));
  const taken = [...new Set([...draft.taken, ...merged.taken])];
  Object.assign(draft, { ...merged, taken, edition: body, tag });
}
