// What editors write of an edition, flat: each value under its place as the API's errors name it,
// "name" or "translations/fr/subject". So what changed is a list of places.

const TEXTS = ["subject", "preheader", "body"];
const SHARED = ["name", "from_name", "language", "in_archive", "topics"];

export const place = (language, name) => `translations/${language}/${name}`;

/** All values of an edition as the API gives it; "" stands for what it lacks. */
export function flatten(edition, languages) {
  const shared = SHARED.map((name) => [name, edition[name] ?? ""]);
  const texts = languages.flatMap((language) =>
    TEXTS.map((name) => [place(language, name), edition.translations[language]?.[name] ?? ""]));
  return Object.fromEntries([...shared, ...texts]);
}

/** The API trims lines, and the order of topics means nothing. */
const comparable = (value) => (Array.isArray(value) ? [...value].sort().join() : String(value).trim());
export const isSame = (one, other) => comparable(one) === comparable(other);
export const changedPlaces = (base, mine) => Object.keys(mine).filter((each) => !isSame(base[each], mine[each]));

/** A merge patch (RFC 7396) of these places; a language without any text is taken away as a whole. */
export function patchOf(values, places) {
  const patch = {};
  for (const each of places) {
    const [first, language, name] = each.split("/");
    const isText = name !== undefined;
    const target = isText ? ((patch[first] ??= {})[language] ??= {}) : patch;
    target[isText ? name : first] = values[each] === "" ? null : values[each];
  }
  for (const language of Object.keys(patch.translations ?? {})) {
    if (!isWritten(values, language)) patch.translations[language] = null;
  }
  return patch;
}

/** As the API sees it: readers of a language get the fallback only while nothing is written in theirs. */
export const isWritten = (values, language) => TEXTS.some((name) => values[place(language, name)]?.trim());

/**
 * Bring a draft, written on `base`, onto what is stored by now. What only others changed is taken
 * over; what both changed is a conflict, and stays as it was written here.
 */
export function rebase(base, mine, theirs) {
  const taken = [];
  const conflicts = [];
  const result = { base: { ...theirs }, mine: { ...theirs } };
  for (const each of Object.keys(theirs)) {
    const [isMine, isTheirs] = [!isSame(base[each], mine[each]), !isSame(base[each], theirs[each])];
    if (isMine) result.mine[each] = mine[each];
    if (isTheirs && !isMine) taken.push(each);
    if (isTheirs && isMine && !isSame(mine[each], theirs[each])) {
      conflicts.push({ place: each, mine: mine[each], theirs: theirs[each], stored: theirs[each], choice: null });
      result.base[each] = base[each];
    }
  }
  return { ...result, taken, conflicts };
}
