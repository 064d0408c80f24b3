// Facets name collections by their slugs; readers want their titles.
import { call } from "./api.js";
import { read } from "./localised.js";

let known = null;

/** Titles by slug; a collection that is not among the newest hundred goes by its slug. */
export async function collectionTitles() {
  known ??= load();
  const titles = await known;
  return (slug) => titles.get(slug) ?? slug.replaceAll("-", " ");
}

async function load() {
  try {
    const { items } = await call("/v1/collections?limit=100", { signed: false });
    return new Map(items.map((each) => [each.slug, read(each)("title").text]));
  } catch {
    known = null; // another time, perhaps
    return new Map();
  }
}
