// Addresses and their screens. A screen is an async function of
// `{ params, query, signal, update }` that gives `{ title, view, isUnsaved?, unsavedText? }`:
// both are asked for whenever `update` is called; `signal` aborts when the reader goes elsewhere.
import { followScrolling, keepScroll, scrollAsKept } from "./scrolling.js";

let pages = [];
let show = null;
let failure = null;
let leaving = new AbortController();
let current = null;
// The address that is shown, and its place among the steps of this tab.
let shown = null;
let step = history.state?.step ?? 0;
let isReturning = false;

/** Begin. `display(screen, { isNew })` puts on the page what a screen shows, or `failed(error)`. */
export function start(routes, display, failed) {
  pages = routes;
  show = display;
  failure = failed;
  history.replaceState({ ...history.state, step }, "");
  followScrolling();
  document.addEventListener("click", followLink);
  window.addEventListener("popstate", goThroughHistory);
  window.addEventListener("beforeunload", (event) => {
    if (event.isTrusted && current?.isUnsaved?.()) event.preventDefault();
  });
  return arrive();
}

export function go(path, { replace = false } = {}) {
  if (!mayLeave()) return null;
  if (!find(new URL(path, location.href).pathname).page.isOurs) return location.assign(path);
  return move(path, replace);
}

/** Show the same address anew, as after logging in or out. */
export const reload = () => arrive();

/** A path of this site, or the home page: an address from elsewhere is never followed. */
export function safePath(path) {
  const url = path && URL.parse(path, location.origin);
  const isOurs = url?.origin === location.origin && !url.pathname.startsWith("//");
  return isOurs ? url.pathname + url.search + url.hash : "/";
}

/** Where this page is, for those who come back to it after logging in. */
export const here = () => location.pathname + location.search;

/** Another address for the screen that is shown, such as that of a filter: a step that Back undoes. */
export function readdress(path, { replace = false } = {}) {
  if (!replace) {
    keepScroll();
    step += 1;
  }
  history[replace ? "replaceState" : "pushState"]({ step }, "", path);
  shown = here();
}

function move(path, replace) {
  readdress(path, { replace });
  return arrive();
}

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
  shown = here();
  const update = () => {
    if (!signal.aborted && current) show(current, { isNew: false });
  };
  document.documentElement.classList.add("is-loading");
  const screen = await open({ signal, update });
  if (signal.aborted) return;
  document.documentElement.classList.remove("is-loading");
  if (screen.redirect) return void move(screen.redirect, true);
  display(screen);
  scrollAsKept();
}

async function open({ signal, update }) {
  const { page, params } = find(location.pathname);
  try {
    const redirect = await page.redirect?.();
    if (redirect) return { redirect };
    const { default: screen } = await page.load();
    const query = new URLSearchParams(location.search);
    return Object.assign(await screen({ params, query, signal, update }), { page });
  } catch (error) {
    return signal.aborted ? null : { ...failure(error), page };
  }
}

function display(screen) {
  current = screen;
  try {
    show(current, { isNew: true });
  } catch (error) {
    current = { ...failure(error), page: screen.page };
    show(current, { isNew: true });
  }
}

/** Whether what is unsaved may be left; the reader is asked once. */
export function mayLeave() {
  if (current?.isUnsaved?.() && !confirm(current.unsavedText)) return false;
  if (current) current.isUnsaved = null; // nobody is asked twice
  return true;
}

// The browser has moved already; who would rather stay is brought back. An entry without a step was
// made by a link to a fragment, or by a screen that changed its own address.
function goThroughHistory({ state }) {
  if (isReturning) return void (isReturning = false);
  if (here() === shown && state?.step !== step) return moveWithin(state);
  if (!mayLeave()) return comeBack(step - (state?.step ?? step - 1));
  step = state?.step ?? step;
  return arrive();
}

function comeBack(steps) {
  isReturning = true;
  history.go(steps);
}

// To a fragment of the page that is shown: where the browser scrolls, or where one was.
function moveWithin(state) {
  if (state?.step !== undefined) {
    step = state.step;
    scrollAsKept();
  } else {
    step += 1;
    history.replaceState({ ...state, step }, "");
  }
}

function followLink(event) {
  const link = event.target.closest?.("a[href]");
  const isHeld = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  const isOrdinary = event.button === 0 && !isHeld;
  if (!link || !isOrdinary || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !find(url.pathname).page.isOurs) return;
  const path = url.pathname + url.search;
  if (path === here() && url.hash) return;
  event.preventDefault();
  go(path + url.hash, { replace: path === here() });
}
