// The two faces of an edition: being written, and on its way or sent. `desk` is the screen's.
import { refusal } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { retryFailed, takeByName } from "./edition-acts.js";
import { leftOver, notices, saveState } from "./edition-changes.js";
import { editionForm } from "./edition-form.js";
import { previewLanguages } from "./edition-head.js";
import { outcome, progressView, sendingSteps } from "./edition-sending.js";
import { departure } from "./edition-steps.js";
import { changedPlaces } from "./edition-values.js";

const t = await texts("editions");

export const written = (desk) => html`
  ${bar(desk)}
  ${refusal(desk.doing)}
  ${whatIsAhead(desk.draft.edition)}
  ${desk.tested ? html`<p class="notice good">${t.tested(desk.tested.recipients)}</p>` : nothing}
  ${notices(desk.draft)}
  <div class="edition-desk show-${desk.pane}">
    <section class="edition-write" aria-label=${t.write}>${form(desk)}</section>
    <section class="edition-look" aria-label=${t.look}>${desk.preview.view()}</section>
  </div>
  ${desk.picker.view()}
`;

const bar = (desk) => html`
  <div class="edition-bar">
    ${saveState(desk.draft)}
    <div class="edition-actions">${buttons(desk)}</div>
    <div class="segments panes" role="group" aria-label=${t.panes}>
      ${["write", "look"].map((each) => html`
        <button type="button" aria-pressed=${desk.pane === each} @click=${() => change(desk, { pane: each })}>
          ${t[each]}
        </button>
      `)}
    </div>
  </div>
`;

const button = (label, act, style = "secondary") => html`
  <button type="button" class="button ${style} small" @click=${act}>${label}</button>
`;

function buttons(desk) {
  const { draft, steps } = desk;
  return html`
    ${draft.isAutomatic() ? nothing : saveButton(draft)}
    ${button(t.testMail, steps.openTest)}
    ${waiting(desk)}
    ${button(t.sendNow, steps.openSend, draft.isAutomatic() ? "" : "secondary")}
  `;
}

const saveButton = (draft) => html`
  <button type="button" class="button small" ?disabled=${!draft.isDirty()} @click=${draft.save}>
    ${t.save}
  </button>
`;

/** The steps beside sending it now, by what it waits for. */
function waiting(desk) {
  const { draft, steps } = desk;
  const unschedule = button(t.unschedule, () => takeByName(desk, "cancel"));
  switch (draft.edition.state) {
    case "draft": return [button(t.schedule, steps.openSchedule)];
    case "scheduled": return [button(t.reschedule, steps.openSchedule), unschedule];
    default: return [button(t.resume, () => takeByName(desk, "resume")), unschedule];
  }
}

function whatIsAhead({ state, send_at: at, pause_reason: reason }) {
  if (state === "scheduled") {
    return html`<p class="notice">${t.leaves} ${departure(at)}. ${t.scheduledHint}</p>`;
  }
  if (state !== "paused") return nothing;
  return html`<p class="notice warn">${t.pauseReasons.rendering_failed} ${reason}</p>`;
}

function form(desk) {
  const { draft, topics, languages, shown, picker, steps } = desk;
  const onLanguage = (language) => showLanguage(desk, language);
  return html`
    ${editionForm(draft, { topics, languages, shown, onLanguage, onAsset: picker.open })}
    ${draft.edition.state === "draft" ? html`
      <button type="button" class="plain link delete" @click=${steps.openDelete}>${t.deleteDraft}</button>
    ` : nothing}
  `;
}

export function sent(desk) {
  const { draft, doing, languages, ledger, preview, progress, shown } = desk;
  const places = changedPlaces(draft.base, draft.mine);
  return html`
    ${places.length ? leftOver(draft, places) : nothing}
    ${refusal(doing)}
    ${progress ? sending(desk) : nothing}
    ${ledger.view()}
    <section class="edition-look sent">
      ${previewLanguages(languages, shown, (language) => showLanguage(desk, language))}
      ${preview.view()}
    </section>
  `;
}

function sending(desk) {
  const { doing, progress, steps } = desk;
  const isUnderWay = ["sending", "paused"].includes(progress.stats.state);
  const acts = {
    isBusy: doing.isBusy,
    take: (step) => takeByName(desk, step),
    retry: () => retryFailed(desk),
    openCancel: steps.openCancel,
  };
  return html`
    ${isUnderWay ? progressView(progress) : outcome(progress.stats)}
    ${sendingSteps(progress, acts)}
  `;
}

function change(desk, changed) {
  Object.assign(desk, changed);
  desk.update();
}

function showLanguage(desk, shown) {
  change(desk, { shown });
  desk.preview.load(shown);
}
