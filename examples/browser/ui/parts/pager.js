// Lists that come a page at a time, further pages below what is there.
import { html, nothing } from "../html.js";
import { explain } from "../forms.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
const PAGE = 24;
const MOST = 100;

/** How many to ask for: who comes back to a list finds as much of it as they left. */
export const firstLimit = () => Math.min(MOST, Math.max(PAGE, history.state?.shown ?? 0));

/** `load(cursor)` gives the next `{ items, next_cursor }`. Items are marked with `data-item`. */
export function createPager(update, first, load) {
  const pager = { items: first.items, next: first.next_cursor, isBusy: false, error: null, more };

  async function more() {
    if (pager.isBusy) return;
    const before = pager.items.length;
    Object.assign(pager, { isBusy: true, error: null });
    update();
    try {
      append(await load(pager.next));
    } catch (error) {
      if (error.name === "AbortError") return;
      pager.error = explain(error);
    }
    pager.isBusy = false;
    update();
    if (!pager.error) document.querySelectorAll("[data-item]")[before]?.querySelector("a")?.focus();
  }

  function append(page) {
    pager.items = [...pager.items, ...page.items];
    pager.next = page.next_cursor;
    history.replaceState({ ...history.state, shown: pager.items.length }, "");
  }
  return pager;
}

export const moreButton = (pager) => html`
  <div class="more" ?hidden=${!pager.next}>
    <p class="refused" role="alert" ?hidden=${!pager.error}>${pager.error}</p>
    <button class="button secondary" aria-disabled=${pager.isBusy} @click=${pager.more}>
      ${pager.isBusy ? html`<span class="spinner"></span>` : nothing}${t.showMore}
    </button>
  </div>
`;
