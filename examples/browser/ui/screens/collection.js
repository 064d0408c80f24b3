import { call } from "../api.js";
import { days } from "../format.js";
import { html, nothing } from "../html.js";
import { read } from "../localised.js";
import { assetGrid, CARD_FIELDS, place } from "../parts/asset-card.js";
import { createManifest, manifest } from "../parts/manifest.js";
import { createPager, firstLimit, moreButton } from "../parts/pager.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");

export default async function collection({ params, signal, update }) {
  const get = (path) => call(path, { signed: false, signal });
  const assets = `/v1/assets?collection=${params.slug}&fields=${CARD_FIELDS}&limit=${firstLimit()}`;
  const [shown, first] = await Promise.all([get(`/v1/collections/${params.slug}`), get(assets)]);
  const pager = createPager(update, first, (cursor) => get(`${assets}&cursor=${encodeURIComponent(cursor)}`));
  const list = createManifest(`/v1/collections/${params.slug}/manifest`, params.slug, { update, signal });
  const said = read(shown);
  const title = said("title");

  const view = () => html`
    <p class="card-about"><span class="card-type">${t.kinds[shown.kind]}</span>${facts(shown)}</p>
    <h1 tabindex="-1" lang=${title.lang}>${title.text}</h1>
    ${summary(said("summary"))}
    <section aria-labelledby="assets">
      <h2 id="assets">${t.assets(shown.asset_count)}</h2>
      ${pager.items.length ? assetGrid(pager.items, { isTop: true }) : html`<p>${t.emptyCollection}</p>`}
      ${moreButton(pager)}
    </section>
    ${shown.asset_count ? manifest(list) : nothing}
  `;
  return { title: title.text, view };
}

const summary = ({ text, lang }) => (text ? html`<p class="lead running" lang=${lang}>${text}</p>` : nothing);

const facts = ({ location, starts_on: first, ends_on: last }) => html`
  ${location ? html`<span>${place(location)}</span>` : nothing}
  ${first ? html`<span>${days(first, last ?? first)}</span>` : nothing}
`;
