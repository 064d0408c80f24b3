import { call, Problem } from "../api.js";
import { onDownloads } from "../downloads.js";
import { day, duration } from "../format.js";
import { html, nothing } from "../html.js";
import { bestLanguage, languagesOf, ownName, read } from "../localised.js";
import { assetGrid, place } from "../parts/asset-card.js";
import { facts, formats } from "../parts/asset-facts.js";
import { downloadsOf, files } from "../parts/download.js";
import { createPlayer, stillOf } from "../parts/player.js";
import { rights } from "../parts/rights.js";
import { shotlist } from "../parts/shotlist.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
const MOST_RELATED = 8;

export default async function asset({ params, query, signal, update }) {
  const get = (path) => call(path, { signed: false, signal });
  const address = `/v1/assets/${params.slug}`;
  try {
    const related = get(`${address}/related`).catch(() => ({ items: [] }));
    const shown = await get(address);
    return await screenOf(shown, (await related).items, { query, signal, update });
  } catch (error) {
    if (error instanceof Problem && error.status === 410) return withdrawn(error);
    throw error;
  }
}

async function screenOf(asset, related, { query, signal, update }) {
  const downloads = await downloadsOf(asset);
  onDownloads(update, signal);
  const player = createPlayer(asset, { startAt: Number.parseFloat(query.get("t")) || 0, update });
  let language = bestLanguage(asset);
  const choose = (wanted) => {
    language = wanted;
    update();
  };
  const given = { asset, related, downloads, player, choose };
  const view = () => page({ ...given, language, said: read(asset, language) });
  return { title: read(asset)("title").text, view };
}

const page = ({ asset, related, downloads, player, language, choose, said }) => html`
  <article class="asset">
    <header class="asset-head">
      ${about(asset)}
      <h1 tabindex="-1" lang=${said("title").lang}>${said("title").text}</h1>
      ${words("lead", headlineOf(said))}
      ${languageSwitch(asset, language, choose)}
    </header>
    <div class="asset-player">
      ${asset.preview && asset.type !== "image" ? player.view(said("title")) : stillOf(asset, said("title"))}
      ${corrections(asset)}
      ${words("running", said("summary"))}
      ${words("running", said("body"))}
    </div>
    <div class="asset-side">${rights(asset)}${files(asset, downloads)}</div>
    <div class="asset-more">
      ${shotlist(asset, { said, player })}
      ${fold(t.script, said("script"))}
      ${fold(t.transcript, said("transcript"))}
      ${facts(asset)}
      ${formats(asset)}
    </div>
  </article>
  ${related.length ? relatedOnes(related) : nothing}
`;

const relatedOnes = (assets) => html`
  <section aria-labelledby="related">
    <h2 id="related">${t.related}</h2>
    ${assetGrid(assets.slice(0, MOST_RELATED))}
  </section>
`;

const about = ({ type, duration_ms: length, location, published_at: published }) => html`
  <p class="card-about">
    <span class="card-type">${t.types[type]}</span>
    ${length ? html`<span>${duration(length)}</span>` : nothing}
    ${location ? html`<span>${place(location)}</span>` : nothing}
    <time datetime=${published}>${day(published)}</time>
  </p>
`;

/** Many headlines only say the title again. */
const headlineOf = (said) => (said("headline").text === said("title").text ? {} : said("headline"));

const words = (style, { text, lang }) => (text ? html`<p class=${style} lang=${lang}>${text}</p>` : nothing);

const fold = (name, { text, lang }) =>
  text
    ? html`
      <details class="fold">
        <summary>${name}</summary>
        <p class="running" lang=${lang}>${text}</p>
      </details>
    `
    : nothing;

const languageSwitch = (asset, language, choose) => {
  const all = languagesOf(asset);
  if (all.length < 2) return nothing;
  return html`
    <div class="languages" role="group" aria-label=${t.textIn}>
      ${all.map((each) => html`
        <button class="plain" lang=${each} aria-pressed=${each === language}
          @click=${() => choose(each)}>${ownName(each)}</button>
      `)}
    </div>
  `;
};

function corrections({ versions }) {
  const corrected = versions.filter(({ kind }) => kind === "corrected");
  if (corrected.length === 0) return nothing;
  const line = ({ occurred_at: when, note }) => html`<li>${t.corrected(day(when), note)}</li>`;
  return html`<ul class="notice corrections">${corrected.map(line)}</ul>`;
}

/** It was public, so its address goes on saying what became of it. */
function withdrawn({ message, title }) {
  const view = () => html`
    <h1 tabindex="-1">${t.withdrawn}</h1>
    <p class="lead">${t.withdrawnDetail}</p>
    ${message && message !== title ? html`<p class="notice warn running">${t.reason(message)}</p>` : nothing}
    <p><a href="/search">${t.wholeCatalogue}</a></p>
  `;
  return { title: t.withdrawn, view };
}
