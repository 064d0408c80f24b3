// The mailed link of a registration. Opening it does nothing (mail scanners open links): on the
// device that registered a button is enough, on another the password must be known.
import { createForm, passwordField, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { usernameField } from "./new-password.js";
import { refusedAs, refusedAt } from "./refused-at.js";

const t = await texts("account");

/** `prove(proof, returnTo)` makes the account; `own` is the registration of this device, if any. */
export function linkForm(token, { own, update, prove }) {
  const link = { isOwn: own !== null };
  const proveHere = () => refusedAs("code_refused", "link_over", () => prove({ flow_id: own.id, token }, own.returnTo));
  const proveElsewhere = (password) =>
    refusedAt("password", ["link_refused"], () => refusedAs("code_refused", "link_refused", () => prove({ token, password }, "/")));
  const form = createForm(update, ({ password }) => (link.isOwn ? proveHere() : proveElsewhere(password)));
  const askPassword = () => {
    Object.assign(form, { error: null, refused: new Map() });
    link.isOwn = false;
    update();
    document.getElementById("password").focus();
  };
  const view = () => html`
    <h1 tabindex="-1">${t.confirmAddress}</h1>
    <p class="lead">${link.isOwn ? html`${t.confirmHere} <strong class="address">${own.email}</strong>.` : t.confirmElsewhere}</p>
    <form novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${link.isOwn ? nothing : html`${usernameField()}${passwordField(form, "password", t.registeredPassword, { autocomplete: "current-password" })}`}
      <div class="actions">${submitButton(form, t.createMyAccount)}</div>
    </form>
    ${link.isOwn && form.error ? html`<p class="aside">${t.otherRegistration} <button type="button" class="plain link" @click=${askPassword}>${t.usePassword}</button></p>` : nothing}
    ${link.isOwn ? nothing : html`<p class="aside">${t.linkAside} <a href="/register">${t.startAgain}</a></p>`}
  `;
  return { title: t.confirmAddress, view };
}
