// Where one was on a page, for those who come back to it. The browser would scroll before a screen
// has loaded, so it is done here, once there is something to scroll.

const SETTLED_MS = 150;

export function followScrolling() {
  history.scrollRestoration = "manual";
  let timer;
  window.addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = setTimeout(keepScroll, SETTLED_MS);
  }, { passive: true });
  window.addEventListener("popstate", () => clearTimeout(timer));
  window.addEventListener("pagehide", keepScroll);
}

/** To where one was, to the fragment that the address names, or to the top. */
export function scrollAsKept() {
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (history.state?.scroll === undefined && named) named.scrollIntoView();
  else scrollTo(0, history.state?.scroll ?? 0);
}

/** Not while a screen loads: what is seen then is still the page before. */
export function keepScroll() {
  const isLoading = document.documentElement.classList.contains("is-loading");
  if (!isLoading) history.replaceState({ ...history.state, scroll: scrollY }, "");
}
