// The fields of a draft: what is alike in all languages, and the text in each of them.
import { fieldRow } from "../forms.js";
import { html, live, nothing } from "../html.js";
import { languageName, languageTitle } from "../format.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { isWritten, place } from "./edition-values.js";

const t = await texts("editions");

// As the API takes them (openapi.json).
const LIMITS = { name: 200, from_name: 100, subject: 200, preheader: 300, body: 200_000 };

/** `shown` is the language being written; `onAsset` is told the text area to put an asset into. */
export const editionForm = (draft, { topics, languages, shown, onLanguage, onAsset }) => html`
  ${languageTabs(draft, languages, shown, onLanguage)}
  ${languages.map((each) => textFields(draft, each, { isShown: each === shown, onAsset }))}
  <details class="edition-settings">
    <summary>${t.settings}<small>${settingsLine(draft, topics)}</small></summary>
    ${line(draft, "name", t.name, { hint: t.nameHint, maxlength: LIMITS.name })}
    ${line(draft, "from_name", t.fromName, { hint: t.fromNameHint, maxlength: LIMITS.from_name, optional: true })}
    ${mainLanguage(draft, languages)}
    ${audience(draft, topics)}
    <label class="option">
      <input type="checkbox" .checked=${live(draft.mine.in_archive)} @change=${({ target }) => draft.set("in_archive", target.checked)}>
      <span>${t.inArchive}<small>${t.inArchiveHint}</small></span>
    </label>
  </details>
`;

const languageTabs = (draft, languages, shown, onLanguage) => html`
  <div class="segments" role="group" aria-label=${t.textLanguage}>
    ${languages.map((each) => html`
      <button type="button" aria-pressed=${each === shown} @click=${() => onLanguage(each)}>
        ${languageTitle(each)}
        ${isWritten(draft.mine, each) ? nothing : html`<small>${t.notWritten}</small>`}
      </button>
    `)}
  </div>
`;

// Each language keeps its own fields, and with them its cursor and what can be undone.
const textFields = (draft, language, { isShown, onAsset }) => {
  const main = draft.mine.language;
  const fallback = (name) => (isWritten(draft.mine, language) ? "" : draft.mine[place(main, name)]);
  const options = (name) => ({ language, maxlength: LIMITS[name], placeholder: fallback(name) });
  return html`
    <div ?hidden=${!isShown}>
      ${language !== main && !isWritten(draft.mine, language)
        ? html`<p class="notice">${t.fallback(languageName(language), languageName(main))}</p>` : nothing}
      ${line(draft, place(language, "subject"), t.subject, options("subject"))}
      ${line(draft, place(language, "preheader"), t.preheader, { ...options("preheader"), hint: t.preheaderHint, optional: true })}
      ${bodyField(draft, language, options("body").placeholder, onAsset)}
    </div>
  `;
};

function line(draft, at, label, { hint, optional = false, maxlength, language, placeholder }) {
  return fieldRow(draft, at, label, { hint, optional }, (described, isInvalid) => html`
    <input id=${at} .value=${live(draft.mine[at])} maxlength=${maxlength} lang=${language ?? nothing} autocomplete="off"
      placeholder=${placeholder || nothing} aria-describedby=${described} aria-invalid=${isInvalid}
      @input=${({ target }) => draft.set(at, target.value)}>
  `);
}

function bodyField(draft, language, placeholder, onAsset) {
  const at = place(language, "body");
  return html`
    <div class="edition-body">
      ${fieldRow(draft, at, t.body, {}, (described, isInvalid) => html`
        <textarea id=${at} rows="16" lang=${language} spellcheck="true" maxlength=${LIMITS.body} placeholder=${placeholder || nothing}
          aria-describedby=${described} aria-invalid=${isInvalid} .value=${live(draft.mine[at])}
          @input=${({ target }) => draft.set(at, target.value)}></textarea>
      `)}
      <button type="button" class="button secondary small" @click=${() => onAsset(document.getElementById(at))}>
        ${icon.plus}${t.insertAsset}
      </button>
      ${markdownHelp()}
    </div>
  `;
}

const markdownHelp = () => html`
  <details class="markdown-help">
    <summary>${t.markdown}</summary>
    <dl>${t.markdownRules.map(([sign, meaning]) => html`<div><dt><code>${sign}</code></dt><dd>${meaning}</dd></div>`)}</dl>
  </details>
`;

const mainLanguage = (draft, languages) => html`
  <div class="field">
    <label for="language">${t.mainLanguage}</label>
    <p class="hint" id="language-hint">${t.mainLanguageHint}</p>
    <select id="language" aria-describedby="language-hint" .value=${live(draft.mine.language)} @change=${({ target }) => draft.set("language", target.value)}>
      ${languages.map((each) => html`<option value=${each} ?selected=${each === draft.mine.language}>${languageTitle(each)}</option>`)}
    </select>
  </div>
`;

// A topic that was retired is in no choice any more, but may still be in a draft.
function audience(draft, topics) {
  const chosen = draft.mine.topics;
  const retired = chosen.filter((slug) => !topics.some((each) => each.slug === slug));
  const choice = [...topics, ...retired.map((slug) => ({ slug, name: slug }))];
  const toggle = (slug, isChosen) =>
    draft.set("topics", isChosen ? [...chosen, slug] : chosen.filter((each) => each !== slug));
  return html`
    <fieldset class="field" aria-describedby="topics-hint">
      <legend>${t.topics}</legend>
      <p class="hint" id="topics-hint">${t.topicsHint}</p>
      ${choice.map(({ slug, name }) => html`
        <label class="option">
          <input type="checkbox" .checked=${live(chosen.includes(slug))} @change=${({ target }) => toggle(slug, target.checked)}>
          <span>${name}</span>
        </label>
      `)}
    </fieldset>
  `;
}

export function audienceName(slugs, topics) {
  const names = slugs.map((slug) => topics.find((each) => each.slug === slug)?.name ?? slug);
  return names.length ? names.join(", ") : t.everyTopic;
}

const settingsLine = (draft, topics) => `${draft.mine.name} · ${audienceName(draft.mine.topics, topics)}`;
