// One asset being edited: what is saved, what is not, and what somebody else saved meanwhile.
import { exchange, Problem } from "../api.js";
import { createForm } from "../forms.js";
import { changedFields, editable, merge, patchOf } from "./desk-model.js";
import { dropDraft, keepDraft, keptDraft } from "./desk-drafts.js";
import { renumber } from "./desk-shots.js";

// Milliseconds for which a draft's poster and preview are found where the API said.
const ADDRESSES_SERVE = 3_600_000;

/** `onSaved(asset)` is called with each version that this page has brought about. */
export function createEditing({ asset, tag, update, signal, onSaved }) {
  const editing = {
    asset,
    tag,
    update,
    readAt: Date.now(),
    note: "",
    conflicts: [],
    theirs: null,
    restoredFrom: null,
    base: editable(asset),
    mine: editable(asset),
    changed: () => changedFields(editing.base, editing.mine),
    isUnsaved: () => editing.asset.status !== "withdrawn" && editing.changed().length > 0,
    set(path, value) {
      assign(editing.mine, path, value);
      keepDraft(editing);
      update();
    },
    take: (answer) => take(editing, answer),
    refresh: async () => take(editing, await read(editing.asset.id, signal)),
    choose: (name, isTheirs) => choose(editing, name, isTheirs, update),
    discard: () => discard(editing, update),
    save: () => save(editing, onSaved, signal),
  };
  editing.form = createForm(update, () => editing.save());
  restore(editing);
  return editing;
}

export const read = async (id, signal) => {
  const { body, tag } = await exchange(`/v1/assets/${id}`, { signal });
  return { asset: body, tag };
};

function assign(object, path, value) {
  const names = path.split("/");
  const last = names.pop();
  for (const name of names) object = object[name] ??= {};
  object[last] = value;
}

/** Go on from a newer version: what only they changed is shown, what I changed stays. */
function take(editing, { asset, tag }) {
  if (asset.version < editing.asset.version) return; // asked for before the last was saved
  const theirs = editable(asset);
  const { merged, conflicts } = merge(editing.base, editing.mine, theirs);
  const stillOpen = editing.conflicts.filter(({ name }) => !conflicts.includes(name));
  editing.conflicts = [
    ...stillOpen,
    ...conflicts.map((name) => ({ name, mine: structuredClone(merged[name]), isTheirs: null })),
  ];
  Object.assign(editing, { asset, tag, readAt: Date.now(), base: theirs, mine: merged });
  editing.conflicts = editing.conflicts.map((each) => ({
    ...each,
    theirs: structuredClone(theirs[each.name]),
  }));
  if (!editing.isUnsaved()) dropDraft(asset.id);
}

/** True once everything is saved; false when there is something to decide first. */
async function save(editing, onSaved, signal) {
  if (editing.conflicts.some(({ isTheirs }) => isTheirs === null)) throw new Undecided();
  const patch = patchOf(editing.base, renumber(editing.mine));
  if (!Object.keys(patch).length) return true;
  const asked = structuredClone(editing.mine);
  try {
    await send(editing, patch, asked);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 412) throw error;
    const had = editing.asset.version;
    take(editing, await read(editing.asset.id, signal));
    editing.theirs = { since: had, at: editing.asset.updated_at };
    if (editing.conflicts.length) throw new Undecided();
    return save(editing, onSaved, signal);
  }
  onSaved();
  return true;
}

async function send(editing, patch, asked) {
  const body =
    editing.asset.status === "published" && editing.note.trim() ? { ...patch, note: editing.note } : patch;
  const path = `/v1/assets/${editing.asset.id}`;
  const { body: asset, tag } = await exchange(path, { method: "PATCH", body, tag: editing.tag });
  // What was typed while it was on its way is not saved yet.
  const { merged } = merge(asked, editing.mine, editable(asset));
  Object.assign(editing, {
    asset: withSameFiles(asset, editing),
    tag,
    base: editable(asset),
    mine: merged,
    note: "",
    conflicts: [],
    theirs: null,
    restoredFrom: null,
  });
  if (editing.isUnsaved()) keepDraft(editing);
  else dropDraft(asset.id);
}

const pathOf = (file) => file?.url?.split("?")[0];
const same = (shown, fresh) => (pathOf(shown) === pathOf(fresh) ? shown : fresh);

/** Words change no file, but its address: with another one, what is being played would begin anew. */
function withSameFiles(asset, editing) {
  const { poster, preview } = editing.asset;
  if (Date.now() - editing.readAt < ADDRESSES_SERVE) {
    return { ...asset, poster: same(poster, asset.poster), preview: same(preview, asset.preview) };
  }
  editing.readAt = Date.now();
  return asset;
}

/** Two editors have written to the same field, and one of the two must be chosen. */
export class Undecided extends Problem {
  constructor() {
    super(412, { code: "desk_undecided" });
  }
}

function choose(editing, name, isTheirs, update) {
  const conflict = editing.conflicts.find((each) => each.name === name);
  // Either may have been written on since.
  conflict[conflict.isTheirs ? "theirs" : "mine"] = structuredClone(editing.mine[name]);
  conflict.isTheirs = isTheirs;
  editing.mine[name] = structuredClone(isTheirs ? conflict.theirs : conflict.mine);
  keepDraft(editing);
  update();
}

function discard(editing, update) {
  Object.assign(editing, {
    mine: structuredClone(editing.base),
    conflicts: [],
    theirs: null,
    restoredFrom: null,
    note: "",
  });
  Object.assign(editing.form, { error: null, refused: new Map() });
  dropDraft(editing.asset.id);
  update();
}

/** Take up what a closed or crashed browser had not saved. */
function restore(editing) {
  const kept = keptDraft(editing.asset.id);
  if (!kept || editing.asset.status === "withdrawn") return;
  const now = { asset: editing.asset, tag: editing.tag };
  Object.assign(editing, { base: kept.base, mine: kept.mine });
  take(editing, now);
  if (editing.isUnsaved()) editing.restoredFrom = kept.at;
  if (editing.conflicts.length) editing.theirs = { at: editing.asset.updated_at };
}

/** A call about the version on the screen. If there is a newer one that is shown, to decide anew. */
export async function ofThisVersion(editing, path, request) {
  try {
    return await exchange(`/v1/assets/${editing.asset.id}${path}`, { ...request, tag: editing.tag });
  } catch (error) {
    if (error.status === 412) await editing.refresh();
    throw error;
  }
}

/** A step of its life. */
export async function step(editing, method, action, body) {
  const { body: asset, tag } = await ofThisVersion(editing, action, { method, body });
  take(editing, { asset, tag });
}

export const remove = (editing) => ofThisVersion(editing, "", { method: "DELETE" });
