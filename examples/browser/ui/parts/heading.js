/** Whoever does not see the page hears what has become of it, since the new heading takes the focus. */
export const focusHeading = () => document.querySelector("main h1")?.focus();
