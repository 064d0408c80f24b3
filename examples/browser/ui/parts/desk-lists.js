// Lists of the desk. With `status` the API takes no words, so what is not public is looked through here.
import { call } from "../api.js";

const PAGE = 20;
const MOST_AT_ONCE = 100;
export const MOST_LOOKED_THROUGH = 1000;

/** A page: `items`, `next` (a cursor), and `isCut` when there is more than was looked through. */
export function listAssets({ status, type, q, cursor }, signal) {
  if (q && status === "published") return page({ q, type, cursor }, signal);
  return q ? lookThrough({ status, type }, q, signal) : page({ status, type, cursor }, signal);
}

async function page(filters, signal, limit = PAGE) {
  const given = Object.entries({ ...filters, limit }).filter(([, value]) => value);
  const { items, next_cursor: next } = await call(`/v1/assets?${new URLSearchParams(given)}`, { signal });
  return { items, next, isCut: false };
}

async function lookThrough(filters, q, signal) {
  const words = folded(q).split(/\s+/);
  const found = [];
  let cursor = null;
  for (let seen = 0; seen < MOST_LOOKED_THROUGH; seen += MOST_AT_ONCE) {
    const { items, next } = await page({ ...filters, cursor }, signal, MOST_AT_ONCE);
    found.push(...items.filter((asset) => words.every((word) => textOf(asset).includes(word))));
    if (!next) return { items: found, next: null, isCut: false };
    cursor = next;
  }
  return { items: found, next: null, isCut: true };
}

const textOf = ({ title, headline, slug, slugline, keywords }) =>
  folded([title, headline, slug, slugline, ...keywords].join(" "));

/** Without case and accents. */
const folded = (text) => text.normalize("NFD").replaceAll(/\p{M}/gu, "").toLowerCase().trim();
