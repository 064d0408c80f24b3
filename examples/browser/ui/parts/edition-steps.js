// The dialogs of an edition's steps: test, schedule, send now, and those that can't be undone.
import { call, exchange, Problem } from "../api.js";
import { fieldRow, refuse } from "../forms.js";
import { count, languageName, localTime, moment } from "../format.js";
import { html } from "../html.js";
import { createOnce } from "../once.js";
import { currentAccount } from "../session.js";
import { locale, texts } from "../texts.js";
import { createDialog } from "./dialog.js";
import { audienceName } from "./edition-form.js";

const t = await texts("editions");

/** A step may take away the button that was pressed for it; who is not looking is then at the heading. */
export function keepFocus() {
  const { activeElement: focused, body } = document;
  if (focused === body || !focused?.checkVisibility()) document.querySelector("main h1")?.focus();
}

/**
 * `take(step, body)` posts a step and shows its answer; `settle` saves what is open and resolves to
 * whether the server has all of it.
 */
export function createSteps(parts) {
  const { draft, update, settle, take, remove } = parts;
  const settled = async () => {
    if (!(await settle())) throw new Problem(422, { code: "save_first", title: t.saveFirst });
  };
  const test = createTest(parts, settled);
  const schedule = createSchedule(parts, settled);
  const send = createSending(parts, settled);
  const cancel = createDialog(update, {
    draw: () => ({ title: t.cancelSending, body: html`<p>${t.cancelDetail}</p>`, ...STOP }),
    send: () => take("cancel"),
  });
  const deletion = createDialog(update, { draw: () => deletionOf(draft.edition), send: remove });
  return {
    views: () => [test, schedule, send, cancel, deletion].map((dialog) => dialog.view()),
    openTest: () => test.ask().then(keepFocus),
    openSchedule: schedule.open,
    openSend: send.open,
    openCancel: () => cancel.ask().then(keepFocus),
    openDelete: () => deletion.ask().then(keepFocus),
  };
}

const STOP = { action: t.cancelSending, style: "danger" };

const deletionOf = ({ name }) => ({
  title: t.deleteDraft,
  body: html`<p>${t.deleteDetail(name)}</p>`,
  action: t.deleteDraft,
  style: "danger",
});

function createTest({ draft, update, shownLanguage, onTested }, settled) {
  const once = createOnce();
  const state = { to: currentAccount().email };
  return createDialog(update, {
    draw: (_, form) => ({
      title: t.testMail,
      body: testFields(form, shownLanguage(), state),
      action: t.sendTest,
    }),
    async send({ to }) {
      await settled();
      if (!to.trim()) throw new Problem(422, { code: "address_missing", title: t.addressMissing });
      const body = { to: to.split(/[\s,;]+/).filter(Boolean), language: shownLanguage() };
      const path = `/v1/newsletter/editions/${draft.edition.id}/test`;
      // Of another version the same test is another mail.
      onTested(await once([draft.tag, body], (key) => call(path, { body, once: key })));
    },
  });
}

function createSchedule({ draft, update, take }, settled) {
  let time = "";
  const onInput = ({ target }) => {
    time = target.value;
    update();
  };
  const dialog = createDialog(update, {
    draw: (_, form) => ({
      title: t.schedule,
      body: timeFields(form, time, onInput),
      action: t.scheduleIt,
    }),
    async send({ send_at: local }) {
      await settled();
      if (!local) throw new Problem(422, { code: "time_missing", title: t.timeMissing });
      await take("schedule", { send_at: new Date(local).toISOString() });
    },
  });
  const open = () => {
    time = localTime(draft.edition.send_at ?? tomorrowMorning());
    return dialog.ask().then(keepFocus);
  };
  return { ...dialog, open };
}

function createSending({ draft, update, take, topics }, settled) {
  let audience = null;
  const dialog = createDialog(update, {
    draw: () => ({
      title: t.sendNow,
      body: summary(draft.edition, audience, topics),
      action: audience === null ? null : t.sendTo(audience),
    }),
    async send() {
      await settled();
      await take("send");
    },
  });

  /** Of those who are subscribed at this moment; it is asked for anew each time. */
  async function countAudience() {
    const form = dialog.form();
    try {
      await settled();
      const stats = await call(`/v1/newsletter/editions/${draft.edition.id}/stats`);
      if (form === dialog.form()) audience = stats.audience;
    } catch (error) {
      refuse(form, error);
    }
    update();
  }

  function open() {
    audience = null;
    dialog.ask().then(keepFocus);
    return countAudience();
  }
  return { ...dialog, open };
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
      autocapitalize="none" aria-describedby=${described} aria-invalid=${isInvalid}
      @input=${({ target }) => Object.assign(state, { to: target.value })}>
  `)}
`;

const summary = (edition, audience, topics) => html`
  <dl class="edition-facts">
    <div><dt>${t.subject}</dt><dd>${edition.subject ?? t.empty}</dd></div>
    <div><dt>${t.topics}</dt><dd>${audienceName(edition.topics, topics)}</dd></div>
    <div>
      <dt>${t.recipients}</dt>
      <dd>${audience === null ? t.counting : html`<strong>${count(audience)}</strong>`}</dd>
    </div>
  </dl>
  <p>${audience === 0 ? t.nobody : t.sendDetail}</p>
`;

function timeFields(form, shown, onInput) {
  const hint = t.zone(Intl.DateTimeFormat().resolvedOptions().timeZone);
  return html`
    ${fieldRow(form, "send_at", t.sendAt, { hint }, (described, isInvalid) => html`
      <input id="send_at" name="send_at" type="datetime-local" .value=${shown} min=${localTime(Date.now())}
        aria-describedby="${described} send-at-utc" aria-invalid=${isInvalid} @input=${onInput}>
    `)}
    <p class="quiet" id="send-at-utc" role="status">${utc(shown)}</p>
    <p>${t.scheduleDetail}</p>
  `;
}

function tomorrowMorning() {
  const date = new Date();
  date.setDate(date.getDate() + 1);
  return date.setHours(7, 0, 0, 0);
}

const UTC = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
const utc = (local) => (Number.isNaN(Date.parse(local)) ? "" : t.inUtc(UTC.format(new Date(local))));

/** The time at which it leaves, here and in UTC. */
export const departure = (time) => html`${moment(time)} <small>(${utc(time)})</small>`;
