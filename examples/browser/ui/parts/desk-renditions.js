// Which file of an asset a new one becomes, as far as can be guessed from what it is.

export const PURPOSES = ["master", "broadcast", "web", "proxy", "audio", "image", "document"];
const MAIN = { video: "video", audio: "audio", image: "image", story: "image" };
const OTHER = { image: "image", audio: "audio" };
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const MADE_HERE = new Set(["poster", "preview"]);

/** `taken` are the names that the asset's other files have. */
export function guessRendition(file, assetType, taken) {
  const kind = file.type.split("/")[0];
  const isOther = OTHER[kind] && (MAIN[assetType] !== kind || assetType === "story");
  const purpose = isOther ? OTHER[kind] : taken.has("master") ? "web" : "master";
  return { purpose, name: freeName(purpose, taken) };
}

export function freeName(purpose, taken) {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? purpose : `${purpose}-${number}`;
    if (!taken.has(name)) return name;
  }
}

export const isRenditionName = (name) => NAME.test(name) && !MADE_HERE.has(name);

/** A title of a file's name: harbour_approach-01.mxf is “harbour approach 01”. */
export function titleOf(filename) {
  const words = filename
    .replace(/\.\w{1,5}$/, "")
    .replaceAll(/[_\-.\s]+/g, " ")
    .trim();
  return words ? words[0].toUpperCase() + words.slice(1) : filename;
}

export function assetTypeOf(file) {
  const kind = file.type.split("/")[0];
  return kind === "image" || kind === "audio" ? kind : "video";
}
