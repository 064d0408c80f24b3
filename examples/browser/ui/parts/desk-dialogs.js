// What the desk asks before it does what everybody sees: publish, withdraw, delete.
import { createForm, fieldRow, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { ago, moment } from "../format.js";
import { locale, texts } from "../texts.js";
import { localTime } from "./desk-inputs.js";

const t = await texts("desk");
const IN_UTC = { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" };

/** A moment as the reader's clock shows it, and as everybody's does. */
export function bothZones(time) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const inUtc = `${new Intl.DateTimeFormat(locale, IN_UTC).format(new Date(time))} UTC`;
  return timeZone === "UTC" ? inUtc : `${moment(time)} (${timeZone}) · ${inUtc}`;
}

/** A dialog with a form; `send(values)` does it, and closes the dialog unless it throws. */
export function createDialog(update, id, send) {
  const element = () => document.getElementById(id);
  const form = createForm(update, async (values) => {
    if ((await send(values)) !== false) element()?.close();
  });
  const show = () => {
    Object.assign(form, { error: null, refused: new Map() });
    update();
    element().showModal();
  };
  return { id, form, show };
}

const frame = ({ id, form }, title, body, { action, style = "" }) => html`
  <dialog id=${id} aria-labelledby="${id}-title" class="desk-dialog">
    <h2 id="${id}-title">${title}</h2>
    <form novalidate @submit=${form.submit}>
      ${refusal(form)} ${body}
      <div class="actions">
        ${submitButton(form, action, style)}
        <button type="button" class="plain link" @click=${({ target }) => target.closest("dialog").close()}>
          ${t.dontDoIt}
        </button>
      </div>
    </form>
  </dialog>
`;

/** `words` as they will be saved; `when` is kept by the screen: `{ isLater, at }`, `at` as its input has it. */
export function publishDialog(dialog, { desk, words, when, isUnsaved, update }) {
  const change = (changed) => {
    Object.assign(when, changed);
    update();
  };
  const missing = whatIsMissing(words, desk);
  return frame(
    dialog,
    t.publishTitle,
    html`
      ${
        missing.length
          ? html`<div class="notice warn">
              <p>${t.missing}</p>
              <ul>
                ${missing.map((each) => html`<li>${t.missingParts[each]}</li>`)}
              </ul>
            </div>`
          : nothing
      }
      ${isUnsaved ? html`<p>${t.savedFirst}</p>` : nothing}
      <fieldset class="field">
        <legend>${t.when}</legend>
        <label class="option"
          ><input
            type="radio"
            name="when"
            value="now"
            .checked=${!when.isLater}
            @change=${() => change({ isLater: false })} />${t.now}</label
        >
        <label class="option"
          ><input
            type="radio"
            name="when"
            value="later"
            .checked=${when.isLater}
            @change=${() => change({ isLater: true })} />${t.later}</label
        >
      </fieldset>
      ${
        when.isLater
          ? fieldRow(
              dialog.form,
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
                  @input=${({ target }) => change({ at: target.value })} />
              `,
            )
          : nothing
      }
    `,
    { action: when.isLater ? t.schedule : t.publishNow },
  );
}

const laterHint = ({ at }) => (at ? `${bothZones(at)} · ${ago(at)}` : t.embargo);

function whatIsMissing(words, { renditions, type }) {
  return [
    words.summary || words.headline ? null : "summary",
    words.rights?.usage_terms ? null : "rights",
    type !== "story" && !renditions.some(({ state }) => state === "ready") ? "file" : null,
    type === "story" && !words.body ? "body" : null,
    renditions.some(({ state }) => state === "processing" || state === "pending") ? "processing" : null,
  ].filter(Boolean);
}

export const withdrawDialog = (dialog) =>
  frame(
    dialog,
    t.withdrawTitle,
    html`
      <p>${t.withdrawWhat}</p>
      ${fieldRow(
        dialog.form,
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
    { action: t.withdraw, style: "danger" },
  );

export const deleteDialog = (dialog, title) =>
  frame(dialog, t.deleteTitle, html`<p>${t.deleteWhat(title)}</p>`, {
    action: t.deleteDraft,
    style: "danger",
  });

export const removeFileDialog = (dialog, filename, isPublished) =>
  frame(
    dialog,
    t.removeFileTitle,
    html` <p>${isPublished ? t.removeFilePublished(filename) : t.removeFileWhat(filename)}</p> `,
    { action: t.removeFile, style: "danger" },
  );
