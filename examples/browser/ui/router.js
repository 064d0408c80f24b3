// Addresses and their screens. A screen is an async function of
// `{ params, query, signal, update }` that gives `{ title, view, isUnsaved? }`: `view` is called
// whenever `update` is; `signal` aborts when the reader goes elsewhere.

let pages = [];
let show = () => {};
let leaving = new AbortController();
let current = null;

/** Begin. `display(screen, { isNew })` puts what a screen shows on the page. */
export function start(routes, display) {
  pages = routes;
  show = display;
  document.addEventListener("click", followLink);
  window.addEventListener("popstate", () => arrive());
  window.addEventListener("beforeunload", (event) => {
    if (current?.isUnsaved?.()) event.preventDefault();
  });
  return arrive();
}

export function go(path, { replace = false } = {}) {
  if (!mayLeave()) return null;
  history[replace ? "replaceState" : "pushState"](null, "", path);
  scrollTo(0, 0);
  return arrive();
}

/** Show the same address anew, as after logging in or out. */
export const reload = () => arrive();

/** A path of this site, or the home page: an address from elsewhere is never followed. */
export function safePath(path) {
  const url = path && URL.parse(path, location.origin);
  return url?.origin === location.origin ? url.pathname + url.search + url.hash : "/";
}

/** Where this page is, for those who come back to it after logging in. */
export const here = () => location.pathname + location.search;

function find(path) {
  for (const page of pages) {
    const match = page.pattern.exec(path);
    if (match) return { page, params: match.groups ?? {} };
  }
  return null;
}

async function arrive() {
  leaving.abort();
  const { signal } = (leaving = new AbortController());
  const { page, params } = find(location.pathname);
  const redirect = page.redirect?.();
  if (redirect) return go(redirect, { replace: true });
  const update = () => {
    if (!signal.aborted && current) show(current, { isNew: false });
  };
  const query = new URLSearchParams(location.search);
  document.documentElement.classList.add("is-loading");
  const screen = await open(page, { params, query, signal, update });
  if (signal.aborted) return null;
  document.documentElement.classList.remove("is-loading");
  current = { ...screen, page };
  return show(current, { isNew: true });
}

async function open(page, context) {
  try {
    const { default: screen } = await page.load();
    return await screen(context);
  } catch (error) {
    if (error.name === "AbortError") return null;
    const { default: failure } = await import("./screens/failure.js");
    return failure(error);
  }
}

const mayLeave = () => !current?.isUnsaved?.() || confirm(current.unsavedText);

function followLink(event) {
  const link = event.target.closest?.("a[href]");
  const isOrdinary = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !isOrdinary || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !find(url.pathname)?.page.isOurs) return;
  if (url.pathname === location.pathname && url.hash) return;
  event.preventDefault();
  go(url.pathname + url.search + url.hash);
}
