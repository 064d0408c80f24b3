// Search results, which say where in an asset something was found. The API marks the words with
// `<mark>`, its only element; it is put together anew here, so that only text gets into the page.
import { html, nothing, repeat } from "../html.js";
import { duration } from "../format.js";
import { texts } from "../texts.js";
import { card } from "./asset-card.js";

const t = await texts("catalogue");
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };
// These are on the card already.
const SHOWN = /(^|\.)(title|headline)$/;
const MOST_TIMES = 3;

const plain = (text) => text.replaceAll(/&(?:amp|lt|gt|quot|#x27);/g, (entity) => ENTITIES[entity]);

const marked = (snippet) =>
  snippet
    .split(/<mark>(.*?)<\/mark>/s)
    .map((piece, index) => (index % 2 ? html`<mark>${plain(piece)}</mark>` : plain(piece)));

const languageOf = ({ field, language }, asset) =>
  language ?? /^translations\.([^.]+)/.exec(field)?.[1] ?? asset.language;

export const resultList = (assets) => html`
  <ul class="results">
    ${repeat(assets, ({ id }) => id, (asset, index) =>
      card(asset, { isFirst: index === 0, more: hits(asset) }))}
  </ul>
`;

/** One passage of text, and the moments at which it is seen or heard. */
function hits(asset) {
  const found = asset.matches ?? [];
  const passage = found.find(({ field, start_ms: start }) => start === undefined && !SHOWN.test(field));
  const moments = momentsOf(found).slice(0, MOST_TIMES);
  if (!passage && !moments.length) return nothing;
  return html`
    <div class="hits">
      ${passage ? html`<p class="hit">${label(passage)}${words(passage, asset)}</p>` : nothing}
      <ul class="moments" ?hidden=${!moments.length}>${moments.map((each) => moment(each, asset))}</ul>
    </div>
  `;
}

/** Shotlist, captions and translations may all say the same at the same time. */
function momentsOf(found) {
  const timed = found.filter(({ start_ms: start }) => typeof start === "number");
  const second = ({ start_ms: start }) => Math.floor(start / 1000);
  return timed.filter((each, index) => timed.findIndex((other) => second(other) === second(each)) === index);
}

/** A name or a keyword says nothing without its kind. */
const label = ({ field }) =>
  t.fields[field] ? html`<span class="hit-field">${t.fields[field]}</span> ` : nothing;

const words = (hit, asset) => html`<span lang=${languageOf(hit, asset)}>${marked(hit.snippet)}</span>`;

const moment = (hit, asset) => html`
  <li>
    <a href="/assets/${asset.slug}?t=${hit.start_ms / 1000}"
      aria-label=${t.playFrom(duration(hit.start_ms))}>${duration(hit.start_ms)}</a>
    ${words(hit, asset)}
  </li>
`;
