// One edition: written and looked at side by side, then sent and followed.
import { call, exchange, Problem } from "../api.js";
import { refusal, refuse } from "../forms.js";
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { go } from "../router.js";
import { currentAccount } from "../session.js";
import { language as readersLanguage, texts } from "../texts.js";
import { createAssetPicker, insertBlock } from "../parts/asset-picker.js";
import { leftOver, notices, saveState } from "../parts/edition-changes.js";
import { createDraft } from "../parts/edition-draft.js";
import { editionForm } from "../parts/edition-form.js";
import { createLedger } from "../parts/edition-ledger.js";
import { createPreview } from "../parts/edition-preview.js";
import { createProgress, outcome, progressView, sendingSteps } from "../parts/edition-sending.js";
import { createSteps, departure, keepFocus, takeStep } from "../parts/edition-steps.js";
import { changedPlaces } from "../parts/edition-values.js";
import { editionHead, previewLanguages } from "../parts/edition-head.js";

const t = await texts("editions");

// Milliseconds between two looks at a scheduled edition, which starts by itself.
const PACE = 5000;

export default async function deskEdition({ params, signal, update }) {
  const address = `/v1/newsletter/editions/${params.id}`;
  const [loaded, { topics, languages }, stats] = await Promise.all([
    exchange(address, { signal }),
    call(`/v1/newsletter/topics?language=${readersLanguage}`, { signed: false, signal }),
    call(`${address}/stats`, { signal }),
  ]);
  const owner = currentAccount().id;
  const state = { shown: loaded.body.language, pane: "write", progress: null, tested: null };
  // As of a form: what goes wrong with a step that needs no dialog.
  const doing = { isBusy: false, error: null, refused: new Map() };

  const draft = createDraft({ edition: loaded.body, tag: loaded.tag, languages, owner, update, signal, onSaved: follow });
  const preview = createPreview({ id: params.id, update, signal, onPlace: focusPlace });
  const ledger = createLedger({ id: params.id, update, signal });
  const picker = createAssetPicker({ update, signal, onPick: insertBlock });
  const steps = createSteps({
    draft, update, settle: draft.save, take, topics, shownLanguage: () => state.shown,
    onTested: (sent) => { state.tested = sent; say(t.tested(sent.recipients)); },
    remove,
  });

  const hasStarted = () => draft.edition.started_at !== null;
  if (hasStarted()) begin(stats);
  preview.load(state.shown);
  watch();

  /** Whatever the server has by now: show that, and follow what is on its way. */
  function follow() {
    state.tested = null;
    preview.load(state.shown);
    if (hasStarted() && !state.progress) call(`${address}/stats`, { signal }).then(begin, () => {});
  }

  function begin(figures) {
    state.progress = createProgress({ edition: draft.edition, stats: figures, update, signal, onStateChange });
    ledger.load();
    update();
  }

  async function onStateChange() {
    say(t.progress[state.progress.stats.state]);
    await Promise.all([draft.look(), ledger.load()]);
  }

  function watch() {
    const isAwaited = () => draft.edition.state === "scheduled" && !document.hidden;
    const timer = setInterval(() => isAwaited() && draft.look(), PACE);
    signal.addEventListener("abort", () => clearInterval(timer));
    document.addEventListener("visibilitychange", () => document.hidden || draft.look(), { signal });
    document.addEventListener("keydown", saveByKey, { signal });
  }

  async function saveByKey(event) {
    if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey) return;
    event.preventDefault();
    if (!hasStarted() && (await draft.save())) say(t.saved);
  }

  /** Of a version that is no longer the newest, the newest is shown, to be decided on anew. */
  async function upToDate(work) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Problem && [409, 412].includes(error.status)) await draft.look();
      throw error;
    }
  }

  async function take(step, body) {
    draft.follow(await upToDate(() => takeStep(draft, step, body)));
    say(t.states[draft.edition.state]);
    await state.progress?.look();
  }

  async function act(doIt) {
    Object.assign(doing, { isBusy: true, error: null });
    update();
    await doIt().catch((error) => refuse(doing, error));
    doing.isBusy = false;
    update();
    keepFocus();
  }

  async function retry() {
    await call(`${address}/retry-failed`, { method: "POST" });
    await Promise.all([draft.look(), state.progress.look(), ledger.load()]);
  }

  async function remove() {
    await upToDate(() => call(address, { method: "DELETE", tag: draft.tag }));
    draft.forget();
    go("/desk/editions");
  }

  function focusPlace(place) {
    const [, language, name] = place.split("/");
    Object.assign(state, { pane: "write", shown: name ? language : state.shown });
    update();
    const element = document.getElementById(place);
    element?.closest("details")?.setAttribute("open", "");
    element?.focus();
  }

  function showLanguage(language) {
    state.shown = language;
    update();
    preview.load(language);
  }

  function showPane(pane) {
    state.pane = pane;
    update();
  }

  const byName = (step) => () => act(() => take(step));
  const view = () => html`
    ${editionHead(draft.edition)}
    ${hasStarted() ? sent() : written()}
    ${steps.views()}
  `;

  const written = () => html`
    <div class="edition-bar">
      ${saveState(draft)}
      <div class="edition-actions">
        ${draft.isAutomatic() ? nothing : html`<button type="button" class="button small" ?disabled=${!draft.isDirty()} @click=${draft.save}>${t.save}</button>`}
        <button type="button" class="button secondary small" @click=${steps.openTest}>${t.testMail}</button>
        ${waiting()}
        <button type="button" class="button small ${draft.isAutomatic() ? "" : "secondary"}" @click=${steps.openSend}>${t.sendNow}</button>
      </div>
      <div class="segments panes" role="group" aria-label=${t.panes}>
        ${["write", "look"].map((each) => html`<button type="button" aria-pressed=${state.pane === each} @click=${() => showPane(each)}>${t[each]}</button>`)}
      </div>
    </div>
    ${refusal(doing)}
    ${draft.edition.state === "scheduled" ? html`<p class="notice">${t.leaves} ${departure(draft.edition.send_at)}. ${t.scheduledHint}</p>` : nothing}
    ${draft.edition.state === "paused" ? html`<p class="notice warn">${t.pauseReasons.rendering_failed} ${draft.edition.pause_reason}</p>` : nothing}
    ${state.tested ? html`<p class="notice good">${t.tested(state.tested.recipients)}</p>` : nothing}
    ${notices(draft)}
    <div class="edition-desk show-${state.pane}">
      <section class="edition-write" aria-label=${t.write}>
        ${editionForm(draft, { topics, languages, shown: state.shown, onLanguage: showLanguage, onAsset: picker.open })}
        ${draft.edition.state === "draft" ? html`<button type="button" class="plain link delete" @click=${steps.openDelete}>${t.deleteDraft}</button>` : nothing}
      </section>
      <section class="edition-look" aria-label=${t.look}>${preview.view()}</section>
    </div>
    ${picker.view()}
  `;

  const waiting = () => {
    const plain = (label, act) => html`<button type="button" class="button secondary small" @click=${act}>${label}</button>`;
    switch (draft.edition.state) {
      case "draft": return plain(t.schedule, steps.openSchedule);
      case "scheduled": return html`${plain(t.reschedule, steps.openSchedule)}${plain(t.unschedule, byName("cancel"))}`;
      default: return html`${plain(t.resume, byName("resume"))}${plain(t.unschedule, byName("cancel"))}`;
    }
  };

  const sent = () => {
    const { progress } = state;
    const places = changedPlaces(draft.base, draft.mine);
    const isUnderWay = ["sending", "paused"].includes(progress?.stats.state);
    return html`
      ${places.length ? leftOver(draft, places) : nothing}
      ${refusal(doing)}
      ${progress ? html`
        ${isUnderWay ? progressView(progress) : outcome(progress.stats)}
        ${sendingSteps(progress, { isBusy: doing.isBusy, take: (step) => byName(step)(), retry: () => act(retry), openCancel: steps.openCancel })}
      ` : nothing}
      ${ledger.view()}
      <section class="edition-look sent">${previewLanguages(languages, state.shown, showLanguage)}${preview.view()}</section>
    `;
  };

  const title = t.editionTitle(loaded.body.number, loaded.body.name);
  return { title, view, isUnsaved: draft.isDirty, unsavedText: t.unsaved };
}
