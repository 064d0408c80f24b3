// An edition as its readers got it, in words; with its layout and pictures the API has it as a page.
import { call } from "../api.js";
import { apiUrl } from "../config.js";
import { day } from "../format.js";
import { html, nothing } from "../html.js";
import { assetsOf, editionText } from "../parts/edition-text.js";
import { LANGUAGES, language as readers, texts } from "../texts.js";

const t = await texts("newsletter");

export default async function archivedEdition({ params, query, signal }) {
  const wanted = new URLSearchParams({ language: query.get("language") ?? readers });
  const issue = await call(`/v1/newsletter/archive/${params.number}?${wanted}`, { signed: false, signal });
  const posters = await postersOf(assetsOf(issue.text), signal);

  const view = () => html`
    <article class="edition">
      <header>
        <p class="quiet">
          <a href="/newsletter">${t.newsletter}</a> ·
          <time datetime=${issue.published_at}>${day(issue.published_at)}</time>
        </p>
        <h1 tabindex="-1" lang=${issue.language}>${issue.subject}</h1>
        ${issue.preheader ? html`<p class="lead" lang=${issue.language}>${issue.preheader}</p>` : nothing}
        ${otherLanguages(issue)}
      </header>
      <div lang=${issue.language}>${editionText(issue.text, posters)}</div>
      <div class="aside">
        <p><a href=${issue.url}>${t.asSent}</a></p>
        <p><a href="/newsletter">${t.subscribe}</a></p>
      </div>
    </article>
  `;
  return { title: issue.subject, view };
}

function otherLanguages({ number, language, languages }) {
  const others = languages.filter((each) => each !== language);
  if (!others.length) return nothing;
  return html`
    <p>${t.otherLanguages} ${others.map((each) => html`
      <a href="/newsletter/archive/${number}?language=${each}" lang=${each} hreflang=${each}>${LANGUAGES[each] ?? each}</a>
    `)}</p>
  `;
}

/** What is in the catalogue no more has none, and an edition can be read without any. */
async function postersOf(slugs, signal) {
  const read = (slug) => call(`/v1/assets/${slug}`, { signed: false, signal });
  const found = await Promise.allSettled(slugs.map(read));
  const assets = found.map(({ value }) => value).filter((asset) => asset?.poster);
  return new Map(assets.map(({ slug, poster }) => [slug, { ...poster, url: apiUrl(poster.url) }]));
}
