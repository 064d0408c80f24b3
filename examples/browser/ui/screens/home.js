import { call } from "../api.js";
import { html, nothing } from "../html.js";
import { assetGrid, CARD_FIELDS, collectionCard, storyCard } from "../parts/asset-card.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");
const common = await texts("common");

export default async function home({ signal }) {
  const get = (path) => call(path, { signed: false, signal });
  const [newest, stories, collections] = await Promise.all([
    get(`/v1/assets?type=video&type=image&type=audio&limit=8&fields=${CARD_FIELDS}`),
    get(`/v1/assets?type=story&limit=4&fields=${CARD_FIELDS}`),
    get("/v1/collections?limit=4"),
  ]);

  const view = () => html`
    ${currentAccount() ? html`<h1 tabindex="-1">${t.newest}</h1>` : hero()}
    <section aria-labelledby="newest">
      ${currentAccount() ? heading("newest", t.videosAndPictures, "unseen") : heading("newest", t.newest)}
      ${newest.items.length
        ? assetGrid(newest.items, { isTop: true })
        : html`<p>${t.emptyCatalogue}</p>`}
      <p class="onward"><a href="/search">${t.wholeCatalogue}</a></p>
    </section>
    ${row("stories", t.stories, stories.items.map(storyCard), allStories())}
    ${row("collections", t.collections, collections.items.map(collectionCard))}
  `;
  return { title: "", view };
}

const hero = () => html`
  <div class="hero">
    <h1 tabindex="-1">${t.hero}</h1>
    <p class="lead">${t.heroDetail}</p>
    <div class="actions">
      <a class="button" href="/register">${common.register}</a>
      <a class="button secondary" href="/login">${common.logIn}</a>
    </div>
  </div>
`;

const heading = (id, words, style = "") => html`<h2 id=${id} class=${style}>${words}</h2>`;

const allStories = () => html`<p class="onward"><a href="/search?type=story">${t.allStories}</a></p>`;

const row = (id, words, cards, onward = nothing) =>
  cards.length === 0
    ? nothing
    : html`
      <section class="band" aria-labelledby=${id}>
        ${heading(id, words)}
        <ul class="stories">${cards}</ul>
        ${onward}
      </section>
    `;
