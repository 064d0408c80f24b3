// What stands at the top of an edition, whatever state it is in.
import { html, nothing } from "../html.js";
import { languageTitle } from "../format.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";

const t = await texts("editions");

const MARKS = { scheduled: "accent", sending: "accent", paused: "warn", sent: "good", cancelled: "bad" };

/** What state an edition is in, in words as well as in colour. */
export const stateBadge = (state) => html`<span class="badge ${MARKS[state] ?? ""}">${t.states[state]}</span>`;

export const editionHead = (edition) => html`
  <header class="edition-head">
    <p><a href="/desk/editions">${icon.back} ${t.editions}</a></p>
    <h1 tabindex="-1">${edition.name}</h1>
    <p class="quiet">${stateBadge(edition.state)} ${t.number(edition.number)}${edition.kind === "digest" ? html` · ${t.digest}` : nothing}</p>
  </header>
`;

export const previewLanguages = (languages, shown, onLanguage) => html`
  <div class="segments" role="group" aria-label=${t.textLanguage}>
    ${languages.map((each) => html`
      <button type="button" aria-pressed=${each === shown} @click=${() => onLanguage(each)}>${languageTitle(each)}</button>
    `)}
  </div>
`;
