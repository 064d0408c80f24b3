// An asset in a list.
import { html, nothing, repeat } from "../html.js";
import { countryName, day } from "../format.js";
import { read } from "../localised.js";
import { texts } from "../texts.js";
import { poster } from "./poster.js";

const t = await texts("catalogue");

/** What a list has to ask for (`fields`). */
export const CARD_FIELDS =
  "slug,type,language,title,summary,duration_ms,poster,location,published_at,translations";

export const place = ({ city, name, country }) =>
  [city ?? name, country && countryName(country)].filter(Boolean).join(", ");

/** Of cards; `isTop` if the first of them is on the screen at once. */
export const assetGrid = (assets, { isTop = false } = {}) => html`
  <ul class="grid">
    ${repeat(assets, ({ id }) => id, (asset, index) => card(asset, { isFirst: isTop && index === 0 }))}
  </ul>
`;

/** `more` stands below. */
export function card(asset, { isFirst, more = nothing }) {
  const title = read(asset)("title");
  return html`
    <li class="card" data-item>
      ${poster(asset, { isFirst })}
      <div class="card-text">
        <h3><a href="/assets/${asset.slug}" lang=${title.lang}>${title.text}</a></h3>
        <p class="card-about">${about(asset)}</p>
      </div>
      ${more}
    </li>
  `;
}

const about = (asset) => html`
  <span class="card-type">${t.types[asset.type]}</span>
  ${asset.location ? html`<span>${place(asset.location)}</span>` : nothing}
  <time datetime=${asset.published_at}>${day(asset.published_at)}</time>
`;

/** A story is its words. */
export function storyCard(asset) {
  const said = read(asset);
  const [title, summary] = [said("title"), said("summary")];
  return html`
    <li class="story card">
      <p class="card-about">${about(asset)}</p>
      <h3><a href="/assets/${asset.slug}" lang=${title.lang}>${title.text}</a></h3>
      ${summary.text ? html`<p class="story-summary" lang=${summary.lang}>${summary.text}</p>` : nothing}
    </li>
  `;
}

export function collectionCard(collection) {
  const title = read(collection)("title");
  return html`
    <li class="story card" data-item>
      <p class="card-about">
        <span class="card-type">${t.kinds[collection.kind]}</span>
        <span>${t.assets(collection.asset_count)}</span>
      </p>
      <h3><a href="/collections/${collection.slug}" lang=${title.lang}>${title.text}</a></h3>
    </li>
  `;
}
