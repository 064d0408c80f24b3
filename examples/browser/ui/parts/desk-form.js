// The words about an asset: one form, in the sections of a newsroom.
import { call } from "../api.js";
import { countryName, languageTitle } from "../format.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { createChooser } from "./desk-chooser.js";
import { bothZones } from "./desk-dialogs.js";
import { momentField, numberField, rowsField, selectField, textField } from "./desk-inputs.js";
import { countryOptions, languageOptions } from "./desk-names.js";
import {
  ALTERNATIVE_IDS,
  CREDITS,
  ORGANISATIONS,
  PEOPLE,
  RESTRICTIONS,
  SUBJECTS,
  THIRD_PARTY,
} from "./desk-rows.js";

const t = await texts("desk-form");
const f = t.fields;
const LANGUAGES = languageOptions(languageTitle);
const COUNTRIES = [["", "—"], ...countryOptions(countryName)];
const CLASSES = [["", "—"], ...Object.entries(t.contentClasses)];
const URGENCIES = [["", "—"], ...t.urgencies.map((name, index) => [index + 1, name])];
const SUGGESTED = 8;

/** The inputs that suggest; they remember what is being typed. */
export function createChoosers(editing, update, signal) {
  const search = (path) => (text) =>
    call(`${path}${encodeURIComponent(text)}&limit=${SUGGESTED}`, { signal });
  const named = { nameOf: ({ title }) => title, keyOf: ({ id }) => id, update };
  const findLanguages = async (text) =>
    LANGUAGES.filter(
      ([code, name]) => code === text || name.toLowerCase().startsWith(text.toLowerCase()),
    ).map(([code]) => code);
  return {
    keywords: createChooser(editing, "keywords", {
      find: async (text) => (await search("/v1/keywords?q=")(text)).items.map(({ name }) => name),
      nameOf: (name) => name,
      fromText: (text) => text,
      update,
    }),
    spoken: createChooser(editing, "spoken_languages", {
      find: findLanguages,
      nameOf: languageTitle,
      keyOf: (code) => code,
      update,
      fromText: (text) =>
        LANGUAGES.find(([code, name]) => code === text || name.toLowerCase() === text.toLowerCase())?.[0],
    }),
    collections: createChooser(editing, "collections", {
      find: async (text) => (await search("/v1/collections?q=")(text)).items,
      ...named,
    }),
    related: createChooser(editing, "related", {
      find: (text) => findAssets(text, editing.asset.id, signal),
      ...named,
    }),
  };
}

/** Public ones by their words; one that is not, by its exact slug or id. */
async function findAssets(text, except, signal) {
  const [found, exact] = await Promise.all([
    call(`/v1/assets?q=${encodeURIComponent(text)}&limit=${SUGGESTED}&fields=id,title`, {
      signed: false,
      signal,
    }),
    /^[a-z0-9-]{3,}$/.test(text) ? call(`/v1/assets/${text}`, { signal }).catch(() => null) : null,
  ]);
  const items = exact ? [exact, ...found.items.filter(({ id }) => id !== exact.id)] : found.items;
  return items.filter(({ id }) => id !== except).map(({ id, title }) => ({ rel: "related", id, title }));
}

const section = (id, title, ...content) => html`
  <section id=${id} aria-labelledby="${id}-title">
    <h2 id="${id}-title" tabindex="-1">${title}</h2>
    ${content}
  </section>
`;
const pair = (...fields) => html`<div class="pair">${fields}</div>`;

const isSpoken = ({ type }) => type === "video" || type === "audio";

export function textSection(editing) {
  const lang = editing.mine.language;
  const isStory = editing.asset.type === "story";
  return section(
    "text",
    t.sections.text,
    textField(editing, "title", f.title, { lang, maxlength: 300 }),
    textField(editing, "headline", f.headline, { lang, hint: t.hints.headline }),
    textField(editing, "summary", f.summary, { lang, rows: 4 }),
    isStory ? textField(editing, "body", f.body, { lang, rows: 16 }) : nothing,
    pair(
      selectField(editing, "language", f.language, LANGUAGES),
      isStory ? nothing : selectField(editing, "content_class", f.content_class, CLASSES),
    ),
    isStory ? nothing : textField(editing, "script", f.script, { lang, rows: 8, hint: t.hints.script }),
    isSpoken(editing.asset)
      ? textField(editing, "transcript", f.transcript, { lang, rows: 8, hint: t.hints.transcript })
      : nothing,
    textField(editing, "ed_note", f.ed_note, { rows: 2, hint: t.hints.ed_note }),
  );
}

export const aboutSection = (editing, choosers) =>
  section(
    "about",
    t.sections.about,
    choosers.keywords(f.keywords, { hint: t.hints.keywords }),
    editing.asset.type === "story"
      ? nothing
      : choosers.spoken(f.spoken_languages, { hint: t.hints.spoken_languages }),
    pair(textField(editing, "location/name", t.place), textField(editing, "location/city", t.city)),
    selectField(editing, "location/country", t.country, COUNTRIES),
    html`<details class="further">
      <summary>${t.coordinates}</summary>
      ${pair(
        numberField(editing, "location/latitude", t.latitude),
        numberField(editing, "location/longitude", t.longitude),
      )}
    </details>`,
    pair(
      textField(editing, "filmed_from", f.filmed_from, { type: "date" }),
      textField(editing, "filmed_to", f.filmed_to, { type: "date" }),
    ),
    rowsField(editing, "people", PEOPLE),
    rowsField(editing, "organisations", ORGANISATIONS),
    rowsField(editing, "subjects", SUBJECTS),
  );

export const rightsSection = (editing) =>
  section(
    "rights",
    t.sections.rights,
    textField(editing, "rights/usage_terms", t.usageTerms, { rows: 3, hint: t.hints.usage_terms }),
    pair(
      textField(editing, "rights/credit_line", t.creditLine),
      textField(editing, "rights/copyright_holder", t.copyrightHolder),
    ),
    pair(
      textField(editing, "rights/copyright_notice", t.copyrightNotice),
      numberField(editing, "rights/copyright_year", t.copyrightYear, { step: 1 }),
    ),
    textField(editing, "rights/license", t.license, { type: "url", hint: t.hints.license }),
    momentField(editing, "available_until", f.available_until, {
      hint: (time) => (time ? bothZones(time) : t.hints.available_until),
    }),
    rowsField(editing, "credits", CREDITS),
    rowsField(editing, "restrictions", RESTRICTIONS),
    rowsField(editing, "third_party", THIRD_PARTY),
  );

/** The other language of the portal; and what there is in more of them. */
export function translationsSection(editing) {
  const isStory = editing.asset.type === "story";
  const others = new Set([
    ...["en", "fr"].filter((code) => code !== editing.mine.language),
    ...Object.keys(editing.mine.translations),
  ]);
  return section(
    "translations",
    t.sections.translations,
    [...others].map((code) => {
      const field = (name, options) =>
        textField(editing, `translations/${code}/${name}`, f[name], { lang: code, ...options });
      return html`
        <h3>${languageTitle(code)}</h3>
        ${field("title")} ${field("headline")} ${field("summary", { rows: 4 })}
        ${isStory ? field("body", { rows: 9 }) : nothing}
      `;
    }),
  );
}

export const placeSection = (editing, choosers) =>
  section(
    "place",
    t.sections.place,
    choosers.collections(f.collections, { hint: t.hints.collections }),
    choosers.related(f.related, { hint: t.hints.related }),
    editing.asset.status === "published"
      ? html`<p class="quiet">${t.slugStays} <code>/assets/${editing.asset.slug}</code></p>`
      : textField(editing, "slug", f.slug, { hint: t.hints.slug }),
    pair(
      textField(editing, "slugline", f.slugline, { hint: t.hints.slugline }),
      selectField(editing, "urgency", f.urgency, URGENCIES, { hint: t.hints.urgency }),
    ),
    rowsField(editing, "alternative_ids", ALTERNATIVE_IDS),
  );
