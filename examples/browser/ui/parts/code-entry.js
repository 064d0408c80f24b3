// The code of a mail: one field, how long it is good for, and another code.
import { Problem } from "../api.js";
import { createForm, explain, fieldRow, refusal, submitButton } from "../forms.js";
import { keepFlow, requestAnotherCode } from "../flow.js";
import { duration } from "../format.js";
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";
import { refusedAt } from "./refused-at.js";

const t = await texts("account");

const CODE = /^[0-9]{8}$/;
// The API counts too, and tells nobody; after these a code is dead.
const TRIES = 5;
// Seconds before the end at which those who hear the page are told.
const TOLD = [300, 60, 0];

const REFUSALS = ["code_incomplete", "code_refused", "code_dead"];

/** Spaces and hyphens are the mail's or the reader's own. */
const digitsOf = (text) => text.replaceAll(/[\s-]/gu, "");

/**
 * `flow` is what `requestCode` gave; `send(code)` proves it. `over()` says what there is to do once
 * the API has forgotten the flow.
 */
export function codeEntry({ flow, update, signal, send, over }) {
  const entry = { flow, isOver: false, sentItself: false, isAsking: false, said: null };
  const form = createForm(update, ({ code }) =>
    refusedAt("code", REFUSALS, () => prove(entry, code, send)));
  tick(entry, update, signal);
  const onInput = (event) => sendWhenComplete(entry, event);
  return () => (entry.isOver ? over() : html`
    <form class="code-form" novalidate @submit=${form.submit}>
      ${form.refused.size ? nothing : refusal(form)}
      ${codeField(form, onInput)}
      ${timeLeft(entry.flow)}
      <div class="actions">${submitButton(form, t.confirm)}</div>
    </form>
    ${another(entry, form, { update, signal })}
  `);
}

const codeField = (form, onInput) =>
  fieldRow(form, "code", t.code, { hint: t.codeHint, describedBy: "code-time" }, (described, isInvalid) => html`
    <input id="code" name="code" class="code" type="text" inputmode="numeric" autocomplete="one-time-code" required
      spellcheck="false" aria-describedby=${described} aria-invalid=${isInvalid} @input=${onInput}>
  `);

async function prove(entry, text, send) {
  const code = digitsOf(text);
  // The API would count it as a wrong try.
  if (!CODE.test(code)) throw new Problem(422, { code: "code_incomplete" });
  try {
    await send(code);
  } catch (error) {
    if (error.code === "code_refused") {
      entry.flow = { ...entry.flow, wrongTries: entry.flow.wrongTries + 1 };
      keepFlow(entry.flow);
      if (entry.flow.wrongTries >= TRIES) error.code = "code_dead";
    }
    throw error;
  }
}

// Once for each code: whoever mends a digit wants to look at it before another try is gone.
function sendWhenComplete(entry, { currentTarget: input }) {
  if (entry.sentItself || !CODE.test(digitsOf(input.value))) return;
  entry.sentItself = true;
  input.form.requestSubmit();
}

const secondsUntil = (time) => Math.max(0, Math.ceil((time - Date.now()) / 1000));

const timeLeft = ({ expiresAt }) => {
  const seconds = secondsUntil(expiresAt);
  return html`
    <p id="code-time" class="code-time ${seconds ? "" : "is-over"}">
      ${seconds ? html`${t.expiresIn} <span role="timer">${duration(seconds * 1000)}</span>` : t.codeExpired}
    </p>
  `;
};

function tick(entry, update, signal) {
  let before = Infinity;
  const timer = setInterval(() => {
    const left = secondsUntil(entry.flow.expiresAt);
    const passed = TOLD.find((mark) => left <= mark && mark < before);
    if (passed !== undefined) say(left ? t.expiresInMinutes(Math.ceil(left / 60)) : t.codeExpired);
    before = left;
    update();
  }, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function another(entry, form, { update, signal }) {
  const wait = secondsUntil(entry.flow.resendAt);
  const isIdle = wait > 0 || entry.isAsking;
  const ask = () => isIdle || askAgain(entry, form, { update, signal });
  return html`
    <div class="another-code">
      <p>${t.noCode}
        <button type="button" class="plain link" aria-disabled=${isIdle} @click=${ask}>${t.sendAgain}</button>
        ${wait ? html`<span class="quiet">${t.possibleIn(duration(wait * 1000))}</span>` : nothing}
      </p>
      <div role="status">${entry.said ? notice(entry.said) : nothing}</div>
    </div>
  `;
}

const notice = ({ style, text }) => html`<p class="notice ${style}">${text}</p>`;

async function askAgain(entry, form, { update, signal }) {
  Object.assign(entry, { isAsking: true, said: null });
  update();
  try {
    entry.flow = await requestAnotherCode(entry.flow, { signal });
    Object.assign(entry, { sentItself: false, said: { style: "good", text: t.sentAgain(entry.flow.email) } });
    startAnew(form);
  } catch (error) {
    takeRefusal(entry, error);
  }
  entry.isAsking = false;
  update();
}

function startAnew(form) {
  Object.assign(form, { error: null, refused: new Map() });
  document.getElementById("code").value = "";
}

function takeRefusal(entry, error) {
  if (error.name === "AbortError") return;
  entry.isOver = error.code === "flow_not_found";
  if (error.retryAfter) entry.flow = { ...entry.flow, resendAt: Date.now() + error.retryAfter * 1000 };
  entry.said = { style: "warn", text: explain(error) };
}
