// What stands above a draft: whether it is saved, and what another editor did to it meanwhile.
import { html, nothing } from "../html.js";
import { languageName, moment } from "../format.js";
import { locale, texts } from "../texts.js";
import { unkeptNote } from "./kept-drafts.js";

const t = await texts("editions");

export function placeName(place) {
  const [first, language, name] = place.split("/");
  return name ? `${t.places[name]} (${languageName(language)})` : t.places[first];
}

/** One short line that is always true. A voice says it only when something is wrong. */
export function saveState(draft) {
  const clock = draft.savedAt && new Intl.DateTimeFormat(locale, { timeStyle: "short" });
  const [mark, words] = stateOf(draft, clock);
  return html`
    <p class="save-state ${mark}"><span class="dot" aria-hidden="true"></span>${words}</p>
    <p class="unseen" role="status">${mark === "bad" ? words : nothing}</p>
  `;
}

function stateOf(draft, clock) {
  if (draft.isSaving) return ["busy", t.saving];
  if (draft.conflicts.some((each) => !each.choice)) return ["bad", t.conflictWaits];
  if (draft.error && draft.isDirty()) return ["bad", draft.isOffline ? t.notReached : t.notSaved];
  if (draft.isDirty()) return ["busy", draft.isAutomatic() ? t.savesSoon : t.saveYourself];
  return ["good", draft.savedAt ? t.savedAt(clock.format(draft.savedAt)) : t.saved];
}

export const notices = (draft) => html`
  ${unkeptNote(draft.update)}
  ${draft.wasRestored ? html`
    <div class="notice warn"><p>${t.restored}</p>${closeButton(draft)}</div>
  ` : nothing}
  ${draft.error && !draft.isOffline ? html`
    <div class="refusal" role="alert"><p>${t.notSavedBecause}</p><p>${draft.error}</p></div>
  ` : nothing}
  ${draft.conflicts.length || draft.taken.length ? changesNotice(draft) : nothing}
`;

const changesNotice = (draft) => html`
  <section class="notice warn" aria-labelledby="changes-heading">
    <h2 id="changes-heading">${t.changedByOther(moment(draft.edition.updated_at))}</h2>
    ${draft.taken.length ? html`<p>${t.takenOver(draft.taken.map(placeName).join(", "))}</p>` : nothing}
    ${draft.conflicts.length ? html`<p>${t.bothChanged}</p>` : nothing}
    ${draft.conflicts.map((each) => conflict(draft, each))}
    ${draft.conflicts.every((each) => each.choice) ? closeButton(draft) : nothing}
  </section>
`;

const conflict = (draft, { place, theirs, choice }) => html`
  <div class="edition-conflict" role="group" aria-label=${placeName(place)}>
    <h3>${placeName(place)}</h3>
    <p class="quiet">${t.theirText}</p>
    <blockquote tabindex="0">${shown(theirs)}</blockquote>
    <div class="segments">
      ${["mine", "theirs"].map((each) => html`
        <button type="button" aria-pressed=${choice === each} @click=${() => choose(draft, place, each)}>
          ${t[each]}
        </button>
      `)}
    </div>
  </div>
`;

function choose(draft, place, choice) {
  const conflict = draft.conflicts.find((each) => each.place === place);
  draft.choose(conflict, choice);
}

const closeButton = (draft) => html`
  <button type="button" class="plain link" @click=${draft.dismiss}>${t.understood}</button>
`;

function shown(value) {
  if (typeof value === "boolean") return t.yesNo(value);
  return [value].flat().join(", ") || t.empty;
}

/** What was written here and can't be saved any more, since the edition has started without it. */
export const leftOver = (draft, places) => html`
  <section class="notice warn" aria-labelledby="left-heading">
    <h2 id="left-heading">${t.startedWithout}</h2>
    <p>${t.startedWithoutDetail}</p>
    ${places.map((each) => html`
      <h3>${placeName(each)}</h3>
      <blockquote tabindex="0">${shown(draft.mine[each])}</blockquote>
    `)}
    <button type="button" class="plain link" @click=${() => discard(draft)}>${t.discard}</button>
  </section>
`;

function discard(draft) {
  draft.forget();
  draft.dismiss();
}
