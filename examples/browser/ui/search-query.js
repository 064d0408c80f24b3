// A search is its address: `/search?q=…&type=…`. The names are the API's own.
import { call } from "./api.js";
import { CARD_FIELDS } from "./parts/asset-card.js";

/** Filters of which several values may be chosen, with counts beside them. */
export const FACETS = ["type", "keyword", "country", "person", "language", "collection"];
const OTHERS = ["q", "published_from", "published_to", "min_height", "has_captions", "sort"];
// Neither words nor an order narrows anything that could be taken back as a filter.
const NO_FILTER = ["q", "sort"];

/** What is known of a query. A name that the API has not would be refused. */
export function known(query) {
  const wanted = [...query].filter(([name, value]) => value && [...FACETS, ...OTHERS].includes(name));
  return new URLSearchParams(wanted);
}

export const addressOf = (query) => (query.size ? `/search?${query}` : "/search");

export const filtersOf = (query) => [...query].filter(([name]) => !NO_FILTER.includes(name));

/** With one more value of a facet, or one fewer. */
export function toggled(query, name, value) {
  const changed = new URLSearchParams(query);
  if (changed.has(name, value)) changed.delete(name, value);
  else changed.append(name, value);
  return changed;
}

/** With one value of a name, or with none. */
export function replaced(query, name, value) {
  const changed = new URLSearchParams(query);
  if (value) changed.set(name, value);
  else changed.delete(name);
  return changed;
}

export function withoutFilters(query) {
  const kept = [...query].filter(([name]) => NO_FILTER.includes(name));
  return new URLSearchParams(kept);
}

/** The first page of what is found, with the counts of the facets. */
export async function find(query, { limit, signal }) {
  const chosen = FACETS.filter((name) => query.has(name));
  const others = FACETS.filter((name) => !query.has(name));
  const [page, ...alone] = await Promise.all([
    ask(query, { limit, fields: CARD_FIELDS, facets: others }, signal),
    ...chosen.map((name) => alternatives(query, name, signal)),
  ]);
  return { ...page, facets: Object.assign({}, page.facets, ...alone) };
}

export const findMore = (query, { signal, ...page }) => ask(query, { ...page, fields: CARD_FIELDS }, signal);

/** Values of a facet are alternatives, so those not chosen are counted as if none were. */
async function alternatives(query, name, signal) {
  const { facets } = await ask(replaced(query, name, null), { limit: 1, fields: "id", facets: name }, signal);
  return facets;
}

function ask(query, options, signal) {
  const asked = new URLSearchParams(query);
  for (const [name, value] of Object.entries(options)) if (String(value)) asked.set(name, value);
  return call(`/v1/assets?${asked}`, { signed: false, signal });
}
