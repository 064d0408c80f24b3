// Where, when, who, and by which words it is found.
import { html, nothing } from "../html.js";
import { apiUrl } from "../config.js";
import { day, days, languageName } from "../format.js";
import { texts } from "../texts.js";
import { place } from "./asset-card.js";

const t = await texts("catalogue");

const searchFor = (name, value, style = "") =>
  html`<a class=${style} href="/search?${new URLSearchParams({ [name]: value })}">${value}</a>`;

export const facts = (asset) => html`
  <section aria-labelledby="facts">
    <h2 id="facts">${t.about}</h2>
    <dl class="facts">
      ${fact(t.where, whereOf(asset.location))}
      ${fact(t.filmed, filmedOn(asset))}
      ${fact(t.published, day(asset.published_at))}
      ${fact(t.contentClass, t.contentClasses[asset.content_class])}
      ${fact(t.spoken, spokenOf(asset))}
      ${several(t.people, asset.people.map(person))}
      ${several(t.organisations, asset.organisations.map(({ name }) => name))}
      ${several(t.inCollections, asset.collections.map(collection))}
      ${several(t.credits, asset.credits.map(({ role, name }) => `${role}: ${name}`))}
      ${several(t.references, asset.alternative_ids.map(({ value }) => value))}
    </dl>
    ${keywords(asset)}
  </section>
`;

const fact = (name, value) => (value ? several(name, [value]) : nothing);

const several = (name, values) =>
  values.length
    ? html`<div><dt>${name}</dt>${values.map((each) => html`<dd>${each}</dd>`)}</div>`
    : nothing;

const filmedOn = ({ filmed_from: first, filmed_to: last }) => first && days(first, last ?? first);

const collection = ({ slug, title }) => html`<a href="/collections/${slug}">${title}</a>`;

function whereOf(location) {
  if (!location) return null;
  const { name, city } = location;
  return [city && name, place(location)].filter(Boolean).join(", ");
}

/** What is heard; "zxx" is nothing that is a language. */
const spokenOf = ({ spoken_languages: spoken }) =>
  spoken.filter((each) => each !== "zxx").map(languageName).join(", ");

const person = ({ name, role, rank }) =>
  html`${rank ? `${rank} ` : ""}${searchFor("person", name)}${role ? `, ${role}` : ""}`;

const keywords = ({ keywords: words, language }) =>
  words.length === 0
    ? nothing
    : html`
      <h3>${t.keywords}</h3>
      <ul class="chips" lang=${language}>
        ${words.map((each) => html`<li>${searchFor("keyword", each, "chip")}</li>`)}
      </ul>
    `;

/** The same asset for other programs. */
export function formats({ id, shotlist, captions }) {
  const all = [...DOCUMENTS, ...(shotlist.length ? SHOTLISTS : []), ...captions.map(captionFile)];
  const link = ([suffix, words]) =>
    html`<li><a href=${apiUrl(`/v1/assets/${id}.${suffix}`)}>${words}</a></li>`;
  return html`
    <details class="fold">
      <summary>${t.formats}</summary>
      <ul>${all.map(link)}</ul>
    </details>
  `;
}

const DOCUMENTS = [
  ["jsonld", "JSON-LD (schema.org)"],
  ["ebucore.xml", "EBUCore 1.10"],
  ["ninjs.json", "ninjs 3"],
];
const SHOTLISTS = [
  ["shotlist.vtt", `${t.shotlist}, WebVTT`],
  ["shotlist.otio", `${t.shotlist}, OpenTimelineIO`],
];
const captionFile = ({ language }) => [
  `captions.${language}.vtt`,
  `${t.captions}, ${languageName(language)}, WebVTT`,
];
