// Where, when, who, and by which words it is found.
import { html, nothing } from "../html.js";
import { apiUrl } from "../config.js";
import { day, days, languageName } from "../format.js";
import { texts } from "../texts.js";
import { place } from "./asset-card.js";

const t = await texts("catalogue");

const searchFor = (name, value) => html`<a href="/search?${new URLSearchParams({ [name]: value })}">${value}</a>`;

export const facts = (asset) => html`
  <section aria-labelledby="facts">
    <h2 id="facts">${t.about}</h2>
    <dl class="facts">
      ${fact(t.where, whereOf(asset.location))}
      ${fact(t.filmed, asset.filmed_from && days(asset.filmed_from, asset.filmed_to ?? asset.filmed_from))}
      ${fact(t.published, day(asset.published_at))}
      ${fact(t.contentClass, asset.content_class && (t.contentClasses[asset.content_class] ?? asset.content_class))}
      ${fact(t.spoken, spokenOf(asset))}
      ${several(t.people, asset.people.map(person))}
      ${several(t.organisations, asset.organisations.map(({ name }) => name))}
      ${several(t.inCollections, asset.collections.map(({ slug, title }) => html`<a href="/collections/${slug}">${title}</a>`))}
      ${several(t.credits, asset.credits.map(({ role, name }) => `${role}: ${name}`))}
      ${several(t.references, asset.alternative_ids.map(({ value }) => value))}
    </dl>
    ${keywords(asset)}
  </section>
`;

const fact = (name, value) => (value ? html`<div><dt>${name}</dt><dd>${value}</dd></div>` : nothing);

const several = (name, values) => (values.length ? html`<div><dt>${name}</dt>${values.map((each) => html`<dd>${each}</dd>`)}</div>` : nothing);

function whereOf(location) {
  if (!location) return null;
  const { name, city } = location;
  return [name && city ? name : null, place({ ...location, name: city ?? name, city: null })].filter(Boolean).join(", ");
}

/** What is heard; "zxx" is nothing that is a language. */
const spokenOf = ({ spoken_languages: spoken }) => spoken.filter((each) => each !== "zxx").map(languageName).join(", ");

const person = ({ name, role, rank }) => html`${rank ? `${rank} ` : ""}${searchFor("person", name)}${role ? `, ${role}` : ""}`;

const keywords = ({ keywords: words, language }) =>
  words.length === 0
    ? nothing
    : html`<h3>${t.keywords}</h3><ul class="chips" lang=${language}>${words.map((each) => html`<li>
        <a class="chip" href="/search?${new URLSearchParams({ keyword: each })}">${each}</a></li>`)}</ul>`;

/** The same asset for other programs. */
export function formats({ id, shotlist, captions }) {
  const link = (suffix, words) => html`<li><a href=${apiUrl(`/v1/assets/${id}.${suffix}`)}>${words}</a></li>`;
  return html`
    <details class="fold">
      <summary>${t.formats}</summary>
      <ul>
        ${link("jsonld", "JSON-LD (schema.org)")}${link("ebucore.xml", "EBUCore 1.10")}${link("ninjs.json", "ninjs 3")}
        ${shotlist.length ? html`${link("shotlist.vtt", `${t.shotlist}, WebVTT`)}${link("shotlist.otio", `${t.shotlist}, OpenTimelineIO`)}` : nothing}
        ${captions.map(({ language }) => link(`captions.${language}.vtt`, `${t.captions}, ${languageName(language)}, WebVTT`))}
      </ul>
    </details>
  `;
}
