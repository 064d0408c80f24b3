// Forms that say what was refused where it was typed, and send once however often one presses.
import { html, nothing } from "./html.js";
import { Problem, Unreachable } from "./api.js";
import { texts } from "./texts.js";

const [t, problems] = await Promise.all([texts("forms"), texts("problems")]);

/** The words for an error of a call, in the reader's language where it has some. */
export function explain(error) {
  if (error instanceof Unreachable) return problems.unreachable;
  if (!(error instanceof Problem)) {
    reportError(error); // a fault of this page's own
    return problems.unknown;
  }
  const known = problems[error.code];
  return typeof known === "function" ? known(error) : (known ?? error.message);
}

/**
 * What one form is doing. `send(values, form)` gets the fields by name; the errors of its calls are
 * shown, those of a field (`pointer`) beside it.
 */
export function createForm(update, send) {
  const form = { isBusy: false, error: null, refused: new Map(), submit };

  async function submit(event) {
    event.preventDefault();
    if (form.isBusy) return;
    const element = event.currentTarget;
    Object.assign(form, { isBusy: true, error: null, refused: new Map() });
    update();
    try {
      await send(Object.fromEntries(new FormData(element)), element);
    } catch (error) {
      if (error.name !== "AbortError") refuse(form, error);
    }
    form.isBusy = false;
    update();
    if (form.error) focusRefused(element);
  }
  return form;
}

/** Show an error as the form's own; also for what goes wrong outside of `send`. */
export function refuse(form, error) {
  form.error = error.errors?.length ? problems.invalid_input : explain(error);
  for (const { pointer, code, message } of error.errors ?? []) {
    const known = problems[code];
    const said = typeof known === "string" ? known : message;
    form.refused.set(pointer.slice(1), [...(form.refused.get(pointer.slice(1)) ?? []), said]);
  }
}

function focusRefused(element) {
  (element.querySelector("[aria-invalid=true]") ?? element.querySelector(".refusal"))?.focus();
}

/** The error of the form as a whole; it stands above the fields. */
export const refusal = ({ error }) => html`
  <div class="refusal" role="alert" tabindex="-1" ?hidden=${!error}>${error}</div>
`;

/** A labelled input. `options` are the input's own attributes, and `hint`, `optional`. */
export function field(form, name, label, options = {}) {
  const { type = "text", hint, optional = false, value = "", autocomplete = "off" } = options;
  const { inputmode = nothing, maxlength = nothing, onInput } = options;
  const isProse = ["email", "text"].includes(type) && optional;
  return fieldRow(form, name, label, { hint, optional }, (described, isInvalid) => html`
    <input id=${name} name=${name} type=${type} .value=${value} autocomplete=${autocomplete}
      inputmode=${inputmode} maxlength=${maxlength} spellcheck=${isProse ? nothing : "false"}
      autocapitalize=${type === "email" ? "none" : nothing} ?required=${!optional}
      aria-describedby=${described} aria-invalid=${isInvalid} @input=${onInput}>
  `);
}

/** A password with a button that shows it. */
export function passwordField(form, name, label, { autocomplete, hint, onInput, describedBy } = {}) {
  return fieldRow(form, name, label, { hint, describedBy }, (described, isInvalid) => html`
    <div class="with-button">
      <input id=${name} name=${name} type="password" autocomplete=${autocomplete} required
        autocapitalize="none" aria-describedby=${described} aria-invalid=${isInvalid} @input=${onInput}>
      <button type="button" class="plain" aria-label=${t.showWhat(label)} aria-controls=${name}
        @click=${(event) => togglePassword(event, label)}>${t.show}</button>
    </div>
  `);
}

/** Label, hint and refusals around a control; `control(describedBy, isInvalid)` draws it. */
export function fieldRow(form, name, label, { hint, optional, describedBy }, control) {
  const refused = form.refused.get(name) ?? [];
  const ids = [hint && `${name}-hint`, refused.length && `${name}-refused`, describedBy];
  const described = ids.filter(Boolean);
  return html`
    <div class="field">
      <label for=${name}>${label} ${optional ? html`<small>${t.optional}</small>` : nothing}</label>
      ${hint ? html`<p class="hint" id="${name}-hint">${hint}</p>` : nothing}
      ${control(described.join(" ") || nothing, refused.length ? "true" : nothing)}
      ${refused.length ? html`<p class="refused" id="${name}-refused">${refused.join(" ")}</p>` : nothing}
    </div>
  `;
}

/** The button that sends; while it does, it says so and does nothing more. */
export const submitButton = ({ isBusy }, label, style = "") => html`
  <button class="button ${style}" aria-disabled=${isBusy}>
    ${isBusy ? html`<span class="spinner"></span>` : nothing}${label}
  </button>
`;

function togglePassword({ currentTarget: button }, label) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  const isShown = input.type === "password";
  input.type = isShown ? "text" : "password";
  button.setAttribute("aria-label", isShown ? t.hideWhat(label) : t.showWhat(label));
  button.textContent = isShown ? t.hide : t.show;
}
