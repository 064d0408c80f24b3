// The dialogs of an edition's steps: test, schedule, send now, and those that can't be undone.
import { call, exchange, Problem } from "../api.js";
import { createForm, fieldRow, refusal, refuse, submitButton } from "../forms.js";
import { count, languageName, moment } from "../format.js";
import { html, nothing, ref } from "../html.js";
import { createOnce } from "../once.js";
import { currentAccount } from "../session.js";
import { locale, texts } from "../texts.js";
import { audienceName } from "./edition-form.js";

const t = await texts("editions");

/** A step may take away the button that was pressed for it; who is not looking is then at the heading. */
export function keepFocus() {
  const { activeElement: focused, body } = document;
  if (focused === body || !focused?.checkVisibility()) document.querySelector("main h1")?.focus();
}

/** A modal dialog with a form in it; `send` gets the form's values, and the dialog closes after it. */
function createDialog(name, update, send) {
  let element;
  const form = createForm(update, async (values) => {
    await send(values);
    element?.close();
    keepFocus();
  });
  const open = () => {
    Object.assign(form, { error: null, refused: new Map() });
    update();
    element.showModal();
  };
  const view = (heading, content, label, style) => html`
    <dialog aria-labelledby="${name}-heading" ${ref((found) => { element = found; })}>
      <form novalidate @submit=${form.submit}>
        <h2 id="${name}-heading">${heading}</h2>
        ${refusal(form)}
        ${content}
        <div class="actions">
          ${label ? submitButton(form, label, style) : nothing}
          <button type="button" class="button secondary" @click=${() => element.close()}>${t.notNow}</button>
        </div>
      </form>
    </dialog>
  `;
  return { form, open, view };
}

/**
 * `take(step, body)` posts a step and shows its answer; `settle` saves what is open and resolves to
 * whether the server has all of it.
 */
export function createSteps({ draft, update, settle, take, shownLanguage, topics, onTested, remove }) {
  const state = { audience: null, time: "", to: currentAccount().email };
  const address = () => `/v1/newsletter/editions/${draft.edition.id}`;
  const settled = async () => {
    if (!(await settle())) throw new Problem(422, { code: "save_first", title: t.saveFirst });
  };

  const once = createOnce();
  const test = createDialog("test", update, async ({ to }) => {
    await settled();
    if (!to.trim()) throw new Problem(422, { code: "address_missing", title: t.addressMissing });
    const body = { to: to.split(/[\s,;]+/).filter(Boolean), language: shownLanguage() };
    // Of another version the same test is another mail.
    onTested(await once([draft.tag, body], (key) => call(`${address()}/test`, { body, once: key })));
  });
  const schedule = createDialog("schedule", update, async ({ send_at: local }) => {
    await settled();
    if (!local) throw new Problem(422, { code: "time_missing", title: t.timeMissing });
    await take("schedule", { send_at: new Date(local).toISOString() });
  });
  const send = createDialog("send", update, async () => {
    await settled();
    await take("send");
  });
  const cancel = createDialog("cancel", update, () => take("cancel"));
  const deletion = createDialog("delete", update, remove);

  function openSchedule() {
    const { send_at: sendAt } = draft.edition;
    state.time = sendAt ? localTime(new Date(sendAt)) : tomorrowMorning();
    schedule.open();
  }

  /** Of those who are subscribed at this moment; it is asked for anew each time. */
  async function openSend() {
    state.audience = null;
    send.open();
    try {
      await settled();
      state.audience = (await call(`${address()}/stats`)).audience;
    } catch (error) {
      refuse(send.form, error);
    }
    update();
  }

  const views = () => html`
    ${test.view(t.testMail, testFields(test.form, shownLanguage(), state), t.sendTest)}
    ${schedule.view(t.schedule, timeFields(schedule.form, state.time, (time) => { state.time = time; update(); }), t.scheduleIt)}
    ${send.view(t.sendNow, summary(draft, state, topics), state.audience === null ? null : t.sendTo(state.audience))}
    ${cancel.view(t.cancelSending, html`<p>${t.cancelDetail}</p>`, t.cancelSending, "danger")}
    ${deletion.view(t.deleteDraft, html`<p>${t.deleteDetail(draft.edition.name)}</p>`, t.deleteDraft, "danger")}
  `;
  return { views, openTest: test.open, openSchedule, openSend, openCancel: cancel.open, openDelete: deletion.open };
}

/** Post a step. What starts an edition names the version that its editor sees; to stop needs none. */
export function takeStep({ edition, tag }, step, body) {
  const isStart = step === "schedule" || step === "send";
  const path = `/v1/newsletter/editions/${edition.id}/${step}`;
  return exchange(path, { method: "POST", body, tag: isStart ? tag : undefined });
}

const testFields = (form, language, state) => html`
  <p>${t.testDetail(languageName(language))}</p>
  ${fieldRow(form, "to", t.testTo, { hint: t.testToHint }, (described, isInvalid) => html`
    <input id="to" name="to" type="email" multiple .value=${state.to} autocomplete="email"
      autocapitalize="none" aria-describedby=${described} aria-invalid=${isInvalid} @input=${({ target }) => { state.to = target.value; }}>
  `)}
`;

const summary = (draft, { audience }, topics) => html`
  <dl class="edition-facts">
    <div><dt>${t.subject}</dt><dd>${draft.edition.subject ?? t.empty}</dd></div>
    <div><dt>${t.topics}</dt><dd>${audienceName(draft.edition.topics, topics)}</dd></div>
    <div><dt>${t.recipients}</dt><dd>${audience === null ? t.counting : html`<strong>${count(audience)}</strong>`}</dd></div>
  </dl>
  <p>${audience === 0 ? t.nobody : t.sendDetail}</p>
`;

const timeFields = (form, shown, onInput) => html`
  ${fieldRow(form, "send_at", t.sendAt, { hint: t.zone(Intl.DateTimeFormat().resolvedOptions().timeZone) }, (described, isInvalid) => html`
    <input id="send_at" name="send_at" type="datetime-local" .value=${shown} min=${localTime(new Date())}
      aria-describedby="${described} send-at-utc" aria-invalid=${isInvalid}
      @input=${({ target }) => onInput(target.value)}>
  `)}
  <p class="quiet" id="send-at-utc" role="status">${utc(shown)}</p>
  <p>${t.scheduleDetail}</p>
`;

/** A local time without a zone, as its field wants it. */
function localTime(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

function tomorrowMorning() {
  const date = new Date();
  date.setDate(date.getDate() + 1);
  date.setHours(7, 0, 0, 0);
  return localTime(date);
}

const UTC = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
const utc = (local) => (Number.isNaN(Date.parse(local)) ? "" : t.inUtc(UTC.format(new Date(local))));

/** The time at which it leaves, here and in UTC. */
export const departure = (time) => html`${moment(time)} <small>(${t.inUtc(UTC.format(new Date(time)))})</small>`;
