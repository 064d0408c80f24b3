// What an editor can change of an asset, and how two editors' changes go together.

const SINGLE = [
  "title",
  "headline",
  "slugline",
  "summary",
  "body",
  "script",
  "transcript",
  "language",
  "content_class",
  "ed_note",
  "urgency",
  "filmed_from",
  "filmed_to",
  "available_until",
  "slug",
];
// Lists of rows; a row without anything in it is none.
const ROWS = [
  "people",
  "organisations",
  "subjects",
  "credits",
  "restrictions",
  "third_party",
  "alternative_ids",
];
const WORDS = ["spoken_languages", "keywords"];
const OBJECTS = ["location", "rights", "translations"];
const LINKS = {
  collections: ({ id, title }) => ({ id, title }),
  related: ({ rel, id, title }) => ({ rel, id, title }),
};

export const FIELDS = [...SINGLE, ...WORDS, ...OBJECTS, ...ROWS, ...Object.keys(LINKS), "shotlist"];

/** The editable part of an asset, to be changed freely. */
export function editable(asset) {
  const found = structuredClone(asset);
  const values = {};
  for (const name of [...SINGLE, ...WORDS, ...ROWS, "shotlist"]) values[name] = found[name];
  for (const name of OBJECTS) values[name] = found[name] ?? {};
  for (const [name, link] of Object.entries(LINKS)) values[name] = found[name].map(link);
  // As one types them; a list of them is sent.
  for (const each of values.restrictions) each.values = each.values.join(", ");
  return values;
}

/** What to send so that the first becomes the second: an RFC 7396 merge patch, empty if alike. */
export function patchOf(base, mine) {
  const patch = {};
  for (const name of changedFields(base, mine)) {
    const [before, after] = [sent(name, base), sent(name, mine)];
    patch[name] = OBJECTS.includes(name) ? mergePatch(before, after) : after;
  }
  return patch;
}

export const changedFields = (base, mine) => FIELDS.filter((name) => !isSame(name, base, mine));

export const isSame = (name, one, other) => alike(compared(name, one), compared(name, other));

/**
 * Both editors' changes since `base`: theirs where only they changed a field, else mine.
 * `conflicts` names the fields that both changed, in different ways.
 */
export function merge(base, mine, theirs) {
  const merged = {};
  const conflicts = [];
  for (const name of FIELDS) {
    const isMine = !isSame(name, base, mine);
    merged[name] = structuredClone(isMine ? mine[name] : theirs[name]);
    if (isMine && !isSame(name, base, theirs) && !isSame(name, mine, theirs)) conflicts.push(name);
  }
  return { merged, conflicts };
}

/** One field as the API takes it. */
export function sent(name, values) {
  const value = values[name];
  if (name === "available_until") return value && new Date(value).toISOString();
  if (name === "collections") return value.map(({ id }) => id);
  if (name === "related") return value.map(({ rel, id }) => ({ rel, id }));
  if (name === "shotlist") return value.filter(hasContent).map(tidy);
  if (name === "restrictions") return value.filter(hasContent).map(restriction);
  if (ROWS.includes(name)) return value.filter(hasContent).map(tidy);
  return OBJECTS.includes(name) ? tidy(value) : plain(value);
}

// A file that arrives sets the milliseconds of shots whose timecodes stay: nobody's edit.
function compared(name, values) {
  if (name !== "shotlist") return sent(name, values);
  return sent(name, values).map(({ start_ms, end_ms, ...shot }) => ({
    ...shot,
    start_ms: shot.timecode_in ? null : start_ms,
    end_ms: shot.timecode_out ? null : end_ms,
  }));
}

const restriction = ({ values, ...row }) => ({ ...tidy(row), values: words(values ?? "") });
const words = (text) =>
  text
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean);

const plain = (value) => (typeof value === "string" ? value.trim() || null : value);

function tidy(object) {
  const kept = Object.entries(object).map(([name, value]) => [
    name,
    isObject(value) ? tidy(value) : plain(value),
  ]);
  return Object.fromEntries(kept.filter(([, value]) => value !== null && value !== undefined));
}

// What a new row begins with does not make it one.
const GIVEN = new Set(["kind", "relation", "rule", "number", "scheme"]);
const hasContent = (row) =>
  Object.entries(row).some(([name, value]) => !GIVEN.has(name) && plain(value) != null);

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function mergePatch(before, after) {
  const patch = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (alike(before[name], after[name])) continue;
    const both = isObject(before[name]) && isObject(after[name]);
    patch[name] = both ? mergePatch(before[name], after[name]) : (after[name] ?? null);
  }
  return patch;
}

function alike(one, other) {
  if (!one || !other || typeof one !== "object" || typeof other !== "object")
    return (one ?? null) === (other ?? null);
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => alike(one[name], other[name]));
}
