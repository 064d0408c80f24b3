// Where somebody was before they came to log in, to register or to set a new password.
import { safePath } from "./router.js";

// Nobody wants to come back to these: they lead on to where one was before them.
const PASSING = new Set(["/login", "/register", "/verify", "/welcome", "/reset", "/undo"]);
const MAX_LENGTH = 2048;

/** The page to go back to, as the address of this one says it. */
export function returnPath(query) {
  let path = query.get("return_to");
  for (;;) {
    const url = new URL(safePath(path), location.origin);
    if (!PASSING.has(url.pathname)) return sendable(url);
    path = url.searchParams.get("return_to");
  }
}

/** The query that hands it on to the next screen. */
export const onward = (path) => (path === "/" ? "" : `?return_to=${encodeURIComponent(path)}`);

// The API takes no backslash and nothing longer, and a log-in must not fail for a long search.
function sendable(url) {
  const path = (url.pathname + url.search + url.hash).replaceAll("\\", "%5C");
  return path.length > MAX_LENGTH ? "/" : path;
}
