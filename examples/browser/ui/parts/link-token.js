// The token of a mailed link. It is taken out of the address at once: it shall not stay in the
// address bar, the history or a shared screen.

let taken = null;

/**
 * The token that this page was opened with, or null. It outlives being shown anew (somebody logs
 * in or out in another tab), but not going elsewhere.
 */
export function takeToken(signal) {
  const { pathname, search, hash } = location;
  const token = new URLSearchParams(hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", pathname + search);
    taken = token;
  }
  signal.addEventListener("abort", () => {
    if (location.pathname !== pathname) taken = null;
  });
  return taken;
}

/** It was used up, or is no good. */
export function dropToken() {
  taken = null;
}
