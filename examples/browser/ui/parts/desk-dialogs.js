// What the desk asks before it does what everybody sees: publish, withdraw, delete. As of dialog.js.
import { fieldRow } from "../forms.js";
import { html, nothing } from "../html.js";
import { ago, localTime, moment } from "../format.js";
import { locale, texts } from "../texts.js";

const t = await texts("desk");
const IN_UTC = { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" };

/** A moment as the reader's clock shows it, and as everybody's does. */
export function bothZones(time) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const inUtc = `${new Intl.DateTimeFormat(locale, IN_UTC).format(new Date(time))} UTC`;
  return timeZone === "UTC" ? inUtc : `${moment(time)} (${timeZone}) · ${inUtc}`;
}

/** `when` is kept by the screen: `{ isLater, at }`, `at` as its input has it. */
export function publishQuestion(form, { desk, editing, when, update }) {
  const change = (changed) => {
    Object.assign(when, changed);
    update();
  };
  return {
    title: t.publishTitle,
    body: html`
      ${missingParts(whatIsMissing(editing.mine, desk))}
      ${editing.isUnsaved() ? html`<p>${t.savedFirst}</p>` : nothing}
      <fieldset class="field">
        <legend>${t.when}</legend>
        ${whenOption("now", t.now, !when.isLater, () => change({ isLater: false }))}
        ${whenOption("later", t.later, when.isLater, () => change({ isLater: true }))}
      </fieldset>
      ${when.isLater ? timeField(form, when, ({ target }) => change({ at: target.value })) : nothing}
    `,
    action: when.isLater ? t.schedule : t.publishNow,
  };
}

const whenOption = (value, words, isChosen, choose) => html`
  <label class="option">
    <input type="radio" name="when" value=${value} .checked=${isChosen} @change=${choose} />${words}
  </label>
`;

const timeField = (form, when, change) =>
  fieldRow(
    form,
    "publish_at",
    t.publishAt,
    { hint: laterHint(when) },
    (described, isInvalid) => html`
      <input
        id="publish_at"
        type="datetime-local"
        required
        .value=${when.at}
        min=${localTime(Date.now())}
        aria-describedby=${described}
        aria-invalid=${isInvalid}
        @input=${change} />
    `,
  );

const laterHint = ({ at }) => (at ? `${bothZones(at)} · ${ago(at)}` : t.embargo);

const missingParts = (missing) =>
  missing.length
    ? html`
        <div class="notice warn">
          <p>${t.missing}</p>
          <ul>
            ${missing.map((each) => html`<li>${t.missingParts[each]}</li>`)}
          </ul>
        </div>
      `
    : nothing;

function whatIsMissing(words, { renditions, type }) {
  return [
    words.summary || words.headline ? null : "summary",
    words.rights?.usage_terms ? null : "rights",
    type !== "story" && !renditions.some(({ state }) => state === "ready") ? "file" : null,
    type === "story" && !words.body ? "body" : null,
    renditions.some(({ state }) => state === "processing" || state === "pending") ? "processing" : null,
  ].filter(Boolean);
}

export const withdrawQuestion = (form) => ({
  title: t.withdrawTitle,
  body: html`
    <p>${t.withdrawWhat}</p>
    ${fieldRow(
      form,
      "reason",
      t.reason,
      { hint: t.reasonHint },
      (described, isInvalid) => html`
        <input
          id="reason"
          name="reason"
          required
          maxlength="1000"
          autocomplete="off"
          aria-describedby=${described}
          aria-invalid=${isInvalid} />
      `,
    )}
  `,
  action: t.withdraw,
  style: "danger",
});

export const deleteQuestion = ({ title }) => ({
  title: t.deleteTitle,
  body: html`<p>${t.deleteWhat(title)}</p>`,
  action: t.deleteDraft,
  style: "danger",
});

export const removeFileQuestion = ({ filename }, { status }) => ({
  title: t.removeFileTitle,
  body: html`<p>${status === "published" ? t.removeFilePublished(filename) : t.removeFileWhat(filename)}</p>`,
  action: t.removeFile,
  style: "danger",
});
