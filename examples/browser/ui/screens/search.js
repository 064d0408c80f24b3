import { collectionTitles } from "../collection-titles.js";
import { explain } from "../forms.js";
import { count } from "../format.js";
import { html } from "../html.js";
import { say } from "../layout.js";
import { assetGrid } from "../parts/asset-card.js";
import { chips, filters } from "../parts/filters.js";
import { icon } from "../parts/icons.js";
import { createPager, firstLimit, moreButton } from "../parts/pager.js";
import { resultList } from "../parts/result-list.js";
import { go, readdress } from "../router.js";
import { addressOf, filtersOf, find, findMore, known, replaced, withoutFilters } from "../search-query.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
const common = await texts("common");
const wide = matchMedia("(min-width: 60rem)");
const ORDERS = ["-published_at", "published_at", "-updated_at", "title"];
const NONE = { items: [], next_cursor: null, total: { value: 0, relation: "eq" }, facets: {} };

export default async function search({ query: asked, signal, update }) {
  const state = { query: known(asked), found: NONE, pager: null, error: null, isBusy: false };
  const titleOf = await collectionTitles();
  let latest = new AbortController();
  signal.addEventListener("abort", () => latest.abort());
  wide.addEventListener("change", update, { signal });
  await load(firstLimit());

  async function load(limit) {
    latest.abort();
    latest = new AbortController();
    const options = { limit, signal: latest.signal };
    try {
      Object.assign(state, { found: await find(state.query, options), error: null });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      Object.assign(state, { found: NONE, error: explain(error) });
    }
    const loadMore = (cursor) => findMore(state.query, { ...options, cursor });
    state.pager = createPager(update, state.found, loadMore);
  }

  /** A filter changes what is below it, and leaves the focus and the scrolling where they are. */
  async function change(query) {
    const focused = document.activeElement;
    readdress(addressOf(query));
    Object.assign(state, { query, isBusy: true });
    update();
    try {
      await load(firstLimit());
    } catch {
      return; // another change came after this one
    }
    state.isBusy = false;
    update();
    if (document.activeElement === document.body) focused.focus(); // values with new counts change places
    say(state.error ?? totalOf(state.found.total));
  }

  const view = () => screen({ ...state, titleOf, change });
  return {
    get title() {
      return heading(state.query);
    },
    view,
  };
}

const screen = ({ query, found, pager, error, isBusy, titleOf, change }) => html`
  <h1 tabindex="-1">${heading(query)}</h1>
  ${searchForm(query)}
  <div class="search">
    <details class="filters" ?open=${wide.matches}>
      <summary class="button secondary">${t.filtersChosen(filtersOf(query).length)}</summary>
      <h2 class="unseen">${t.filters}</h2>
      ${filters({ query, facets: found.facets, titleOf, change })}
      <button class="button filters-done" @click=${showResults}>${t.show(totalOf(found.total))}</button>
    </details>
    <section aria-labelledby="results" aria-busy=${isBusy}>
      <div class="search-head">
        <h2 id="results" tabindex="-1">${error ? t.noAnswer : totalOf(found.total)}</h2>
        ${order(query, change)}
      </div>
      ${chips({ query, titleOf, address: addressOf, none: addressOf(withoutFilters(query)) })}
      ${error ? html`<p class="refusal">${error}</p>` : results(query, pager)}
    </section>
  </div>
`;

function results(query, pager) {
  if (pager.items.length === 0) return nothingFound(query);
  const list = query.has("q") ? resultList(pager.items) : assetGrid(pager.items, { isTop: true });
  return html`${list}${moreButton(pager)}`;
}

const nothingFound = (query) => html`
  <div class="empty">
    <p>${t.nothingFound}</p>
    <ul>${t.searchHelp.map((each) => html`<li>${each}</li>`)}</ul>
    <p ?hidden=${!filtersOf(query).length}>
      <a href=${addressOf(withoutFilters(query))}>${t.clearFilters}</a>
    </p>
  </div>
`;

const searchForm = (query) => html`
  <form class="search-form" role="search" aria-label=${t.searchCatalogue} action="/search"
    @submit=${(event) => submit(event, query)}>
    <label class="unseen" for="q">${t.words}</label>
    <input id="q" name="q" type="search" .value=${query.get("q") ?? ""} placeholder=${t.wordsHint}
      autocomplete="off" enterkeyhint="search">
    <button class="button">${icon.search}<span>${common.search}</span></button>
  </form>
`;

function submit(event, query) {
  event.preventDefault();
  go(addressOf(replaced(query, "q", new FormData(event.target).get("q").trim())));
}

function order(query, change) {
  const orders = query.has("q") ? ["relevance", ...ORDERS] : ORDERS;
  const chosen = query.get("sort") ?? orders[0];
  return html`
    <div class="order">
      <label for="sort">${t.order}</label>
      <select id="sort" @change=${({ target }) => change(replaced(query, "sort", target.value))}>
        ${orders.map((each) => html`
          <option value=${each} ?selected=${each === chosen}>${t.orders[each]}</option>
        `)}
      </select>
    </div>
  `;
}

function showResults({ target }) {
  target.closest("details").open = false;
  document.getElementById("results").focus();
}

const totalOf = ({ value, relation }) =>
  relation === "gte" ? t.moreThan(count(value)) : t.results(value, count(value));

/** What all of it is, if it is of one type: /search?type=story is "Stories". */
function heading(query) {
  const types = query.getAll("type");
  if (query.has("q")) return t.found(query.get("q"));
  return types.length === 1 ? (t.allOf[types[0]] ?? t.catalogue) : t.catalogue;
}
