// Making a key: its name, what it may do, and how long it lives.
import { call, Problem } from "../api.js";
import { field, fieldRow } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { createDialog } from "./dialog.js";

const t = await texts("keys");
export const SCOPES = ["assets:read", "assets:download", "changes:read", "webhooks:manage"];
const FIRST_SCOPES = ["assets:read", "assets:download"];
// Days; a key without an end is the exception that one has to choose.
const LIFETIMES = [30, 90, 365, 0];
const FIRST_LIFETIME = 365;
const DAY = 86_400_000;

/** `ask()` gives the new key with its secret, or null; `proven` asks for the password where it must. */
export function createKeyForm(update, proven) {
  let requestOf;
  let making;
  const send = ({ name, lifetime }, _, element) => {
    const scopes = new FormData(element).getAll("scope");
    if (!scopes.length) throw noScope();
    const request = requestOf({ name, scopes, lifetime: Number(lifetime) });
    making = proven(() => call("/v1/api-keys", request));
    return making;
  };
  const dialog = createDialog(update, { draw, send });

  async function ask() {
    [requestOf, making] = [createRequests(), Promise.resolve(null)];
    await dialog.ask();
    return making.catch(() => null); // also for who turns away while it is made: it is shown once
  }
  return { ask, view: dialog.view };
}

/** The same wish is the same request, however often it is sent; another wish is another one. */
function createRequests() {
  let [last, request] = [null, null];
  return ({ lifetime, ...wish }) => {
    const wanted = JSON.stringify([wish, lifetime]);
    if (wanted === last) return request;
    const expiresAt = lifetime ? new Date(Date.now() + lifetime * DAY).toISOString() : null;
    last = wanted;
    return (request = { body: { ...wish, expires_at: expiresAt }, once: crypto.randomUUID() });
  };
}

function noScope() {
  const error = { pointer: "/scopes", code: "no_scope", message: t.noScope };
  return new Problem(422, { code: "no_scope", title: t.noScope, errors: [error] });
}

const draw = (_, form) => ({
  title: t.makeKey,
  body: html`
    ${field(form, "name", t.name, { hint: t.nameHint, maxlength: 200 })}
    ${scopeOptions(form)}
    ${fieldRow(form, "lifetime", t.lifetime, { hint: t.lifetimeHint }, (described) => html`
      <select id="lifetime" name="lifetime" aria-describedby=${described}>
        ${LIFETIMES.map((days) => html`
          <option value=${days} ?selected=${days === FIRST_LIFETIME}>${t.lifetimes[days]}</option>
        `)}
      </select>
    `)}
  `,
  action: t.makeKey,
});

function scopeOptions(form) {
  const refused = form.refused.get("scopes");
  return html`
    <fieldset class="field">
      <legend>${t.scopes}</legend>
      ${SCOPES.map((scope) => html`
        <label class="option">
          <input type="checkbox" name="scope" value=${scope} ?checked=${FIRST_SCOPES.includes(scope)}
            aria-invalid=${refused ? "true" : nothing}
            aria-describedby=${refused ? "scopes-refused" : nothing}>
          <span>${t.scopeNames[scope]} <small>${t.scopeDetails[scope]}</small></span>
        </label>
      `)}
      ${refused ? html`<p class="refused" id="scopes-refused">${refused.join(" ")}</p>` : nothing}
    </fieldset>
  `;
}
