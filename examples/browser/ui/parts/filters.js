// The filters of a search, with how much each would leave. Each change is a new address.
import { html, live, nothing, repeat } from "../html.js";
import { count, countryName, day, languageTitle } from "../format.js";
import { FACETS, filtersOf, replaced, toggled } from "../search-query.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
const OPEN_AT_FIRST = ["type", "keyword", "country"];
const SHOWN_AT_FIRST = 8;
const HEIGHTS = ["720", "1080", "2160"];

const NAMED = {
  type: (value) => t.types[value] ?? value,
  country: countryName,
  language: languageTitle,
  published_from: (value) => t.from(day(value)),
  published_to: (value) => t.until(day(value)),
  min_height: (value) => t.heights[value] ?? t.lines(value),
  has_captions: () => t.withCaptions,
};

/** The words for a value; of a date that is none, the value itself. */
export function nameOf(name, value, titleOf) {
  try {
    return name === "collection" ? titleOf(value) : (NAMED[name]?.(value) ?? value);
  } catch {
    return value;
  }
}

/** `change(query)` is called with what is wanted next. */
export const filters = ({ query, facets, titleOf, change }) => html`
  ${FACETS.map((name) => facet(name, query, facets[name] ?? [], titleOf, change))}
  ${details("dates", t.dates, query.has("published_from") || query.has("published_to"), html`
    ${date("published_from", t.fromDate, query, change)}${date("published_to", t.toDate, query, change)}
  `)}
  ${details("technical", t.quality, query.has("min_height") || query.has("has_captions"), html`
    ${resolution(query, change)}
    <label class="option">
      <input type="checkbox" .checked=${live(query.has("has_captions"))}
        @change=${({ target }) => change(replaced(query, "has_captions", target.checked ? "true" : null))}>
      <span>${t.withCaptions}</span>
    </label>
  `)}
`;

/** What is filtered by, each to be taken back. */
export const chips = ({ query, titleOf, address, none }) => {
  const chosen = filtersOf(query);
  if (chosen.length === 0) return nothing;
  return html`
    <ul class="chips" aria-label=${t.activeFilters}>
      ${chosen.map(([name, value]) =>
        chip(nameOf(name, value, titleOf), address(withoutValue(query, name, value))))}
      <li><a class="chip-none" href=${none}>${t.clearFilters}</a></li>
    </ul>
  `;
};

const chip = (words, href) => html`
  <li>
    <a class="chip" href=${href} aria-label=${t.remove(words)}>${words}<span aria-hidden="true">×</span></a>
  </li>
`;

const withoutValue = (query, name, value) =>
  FACETS.includes(name) ? toggled(query, name, value) : replaced(query, name, null);

function facet(name, query, counted, titleOf, change) {
  const values = withChosen(query.getAll(name), counted);
  if (values.length === 0) return nothing;
  const row = (each) => option(name, each, query, titleOf, change);
  const rows = (some) => repeat(some, ({ value }) => value, row);
  const [first, rest] = [values.slice(0, SHOWN_AT_FIRST), values.slice(SHOWN_AT_FIRST)];
  return details(name, t.facets[name], OPEN_AT_FIRST.includes(name) || query.has(name), html`
    ${rows(first)}
    ${rest.length ? html`
      <details class="rest" ?open=${rest.some(({ value }) => query.has(name, value))}>
        <summary>${t.moreValues(rest.length)}</summary>${rows(rest)}
      </details>` : nothing}
  `);
}

/** What is chosen is there also if nothing is left of it. */
function withChosen(chosen, counted) {
  const gone = chosen.filter((wanted) => !counted.some(({ value }) => value === wanted));
  return [...gone.map((value) => ({ value, count: 0 })), ...counted];
}

const option = (name, { value, count: number }, query, titleOf, change) => html`
  <label class="option">
    <input type="checkbox" .checked=${live(query.has(name, value))}
      @change=${() => change(toggled(query, name, value))}>
    <span class="option-name">${nameOf(name, value, titleOf)}</span>
    <small>${count(number)}</small>
  </label>
`;

const details = (name, words, isOpen, content) => html`
  <details class="facet" ?open=${isOpen}>
    <summary>${words}</summary>
    <fieldset><legend class="unseen">${words}</legend>${content}</fieldset>
  </details>
`;

const date = (name, words, query, change) => html`
  <div class="field">
    <label for=${name}>${words}</label>
    <input id=${name} type="date" .value=${live(query.get(name) ?? "")}
      @change=${({ target }) => change(replaced(query, name, target.value))}>
  </div>
`;

const resolution = (query, change) => html`
  <div class="field">
    <label for="min_height">${t.resolution}</label>
    <select id="min_height" @change=${({ target }) => change(replaced(query, "min_height", target.value))}>
      <option value="" ?selected=${!query.has("min_height")}>${t.anyResolution}</option>
      ${HEIGHTS.map((each) => html`
        <option value=${each} ?selected=${query.get("min_height") === each}>${t.heights[each]}</option>
      `)}
    </select>
  </div>
`;
