import { html, render } from "./html.js";
import { layout, say } from "./layout.js";
import { pages } from "./pages.js";
import { reload, start } from "./router.js";
import { currentAccount, onSessionChange, resume } from "./session.js";

function display({ title, view, page }, { isNew }) {
  render(layout(html`<div class=${page.layout}>${view()}</div>`), document.body);
  document.title = title ? `${title} · Multimedia Account` : "Multimedia Account";
  if (isNew) arriveAt(title);
}

// Whoever does not see the page hears where it leads: the heading takes the focus.
let isFirst = true;
function arriveAt(title) {
  if (!isFirst) {
    document.querySelector("main h1")?.focus({ preventScroll: true });
    say(title);
  }
  isFirst = false;
}

await resume();
let reader = currentAccount()?.id;
onSessionChange((account) => {
  if (account?.id === reader) return;
  reader = account?.id;
  reload();
});
await start(pages, display);
