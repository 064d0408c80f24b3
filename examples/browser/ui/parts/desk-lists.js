// Lists of the desk. What is public is searched as everybody searches it: in all words of all assets.
import { call } from "../api.js";

const PAGE = 20;
export const MOST_LOOKED_THROUGH = 10_000;

/** A page: `items`, `next` (a cursor), and `isCut` when there is more than was looked through. */
export async function listAssets({ status, type, q, cursor }, signal) {
  const isPublicSearch = q && status === "published";
  const filters = { status: isPublicSearch ? "" : status, type, q, cursor, limit: PAGE };
  const given = Object.entries(filters).filter(([, value]) => value);
  const { items, next_cursor: next, total } = await call(`/v1/assets?${new URLSearchParams(given)}`, { signal });
  return { items, next, isCut: Boolean(q) && !isPublicSearch && total.relation === "gte" };
}
