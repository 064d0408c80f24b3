// The token of a mailed link. It is taken out of the address at once: it shall not stay in the
// address bar, the history or a shared screen.

import { reload } from "../router.js";

let taken = null;

const named = () => new URLSearchParams(location.hash.slice(1)).get("token");

/**
 * The token that this page was opened with, or null. It outlives being shown anew (somebody logs
 * in or out in another tab), but not going elsewhere.
 */
export function takeToken(signal) {
  const { pathname, search } = location;
  const token = named();
  if (token) {
    history.replaceState(history.state, "", pathname + search);
    taken = token;
  }
  // Pasted into the address bar of the page that waits for it, a link loads nothing.
  window.addEventListener("hashchange", () => named() && reload(), { signal });
  signal.addEventListener("abort", () => {
    if (location.pathname !== pathname) taken = null;
  });
  return taken;
}

/** It was used up, or is no good. */
export function dropToken() {
  taken = null;
}
