// Where in an asset a search has found something. The API marks the words with `<mark>`, its only
// element; it is put together anew here, so that nothing but text gets into the page.
import { html, nothing } from "../html.js";
import { duration } from "../format.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };
// These are on the card already.
const SHOWN = /(^|\.)(title|headline)$/;
const MOST_TIMES = 3;

const plain = (text) => text.replaceAll(/&(?:amp|lt|gt|quot|#x27);/g, (entity) => ENTITIES[entity]);

export const marked = (snippet) =>
  snippet.split(/<mark>(.*?)<\/mark>/s).map((piece, index) => (index % 2 ? html`<mark>${plain(piece)}</mark>` : plain(piece)));

const languageOf = ({ field, language }, asset) => language ?? /^translations\.([^.]+)/.exec(field)?.[1] ?? asset.language;

/** One passage of text, and the moments at which it is seen or heard. */
export function hits(asset) {
  const found = asset.matches ?? [];
  const passage = found.find(({ field, start_ms: start }) => start === undefined && !SHOWN.test(field));
  const moments = found.filter(({ start_ms: start }) => typeof start === "number").slice(0, MOST_TIMES);
  return html`
    ${passage ? html`<p class="hit" lang=${languageOf(passage, asset)}>${marked(passage.snippet)}</p>` : nothing}
    ${moments.length ? html`<ul class="moments">${moments.map((each) => moment(each, asset))}</ul>` : nothing}
  `;
}

const moment = (hit, asset) => html`
  <li>
    <a href="/assets/${asset.slug}?t=${hit.start_ms / 1000}" aria-label=${t.playFrom(duration(hit.start_ms))}>${duration(hit.start_ms)}</a>
    <span lang=${languageOf(hit, asset)}>${marked(hit.snippet)}</span>
  </li>
`;
