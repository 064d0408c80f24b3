// The token of a mailed link: kept by this tab, and out of the address before anything else happens.
const kept = new Map();

/** The token that this address was opened with, now or before; undefined where there was none. */
export function mailedToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) kept.set(location.pathname, found);
  // It must not stay in the address bar, the history or on a shared screen.
  if (location.hash) history.replaceState(null, "", location.pathname);
  return kept.get(location.pathname);
}
