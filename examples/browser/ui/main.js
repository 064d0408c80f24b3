import { html, render } from "./html.js";
import { layout } from "./layout.js";
import { pages } from "./pages.js";
import failure from "./screens/failure.js";
import { reload, start } from "./router.js";
import { currentAccount, onSessionChange, resume } from "./session.js";

function display({ title, view, page }, { isNew }) {
  render(layout(html`<div class=${page.layout}>${view()}</div>`), document.body);
  document.title = title ? `${title} · Multimedia Account` : "Multimedia Account";
  if (isNew) arrive();
}

// Whoever does not see the page hears where it leads: the heading takes the focus.
let isFirst = true;
function arrive() {
  if (!isFirst) document.querySelector("main h1")?.focus({ preventScroll: true });
  isFirst = false;
}

// A server that does not answer now may later; pages that need an account try again.
const resumeIfPossible = () => resume().catch(() => {});
await resumeIfPossible();
window.addEventListener("online", resumeIfPossible);
let reader = currentAccount()?.id;
onSessionChange((account) => {
  if (account?.id === reader) return;
  reader = account?.id;
  reload();
});
await start(pages, display, failure);
