// The mailed link of a registration. Opening it does nothing (mail scanners open links): on the
// device that registered a button is enough, on another the password must be known.
import { createForm, passwordField, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { refusedAs, refusedAt } from "./refused-at.js";

const t = await texts("account");

/** `prove(proof, returnTo)` makes the account; `own` is the registration of this device, if any. */
export function linkForm(token, { own, update, prove }) {
  const link = { isOwn: own !== null };
  const form = createForm(update, ({ password }) => (link.isOwn ? proveHere() : proveElsewhere(password)));

  const proveHere = () =>
    refusedAs("code_refused", "link_over", () => prove({ flow_id: own.id, token }, own.returnTo));
  const proveElsewhere = (password) => refusedAt("password", ["link_refused"], () =>
    refusedAs("code_refused", "link_refused", () => prove({ token, password }, "/")));

  const askPassword = () => {
    Object.assign(form, { error: null, refused: new Map() });
    link.isOwn = false;
    update();
    document.getElementById("password").focus();
  };
  const view = () => html`
    <h1 tabindex="-1">${t.confirmAddress}</h1>
    ${link.isOwn ? here(form, own.email, askPassword) : elsewhere(form)}
  `;
  return { title: t.confirmAddress, view };
}

const here = (form, email, askPassword) => html`
  <p class="lead">${t.confirmHere} <strong class="address">${email}</strong>.</p>
  <form @submit=${form.submit}>
    ${refusal(form)}
    <div class="actions">${submitButton(form, t.createMyAccount)}</div>
  </form>
  ${form.error ? html`
    <p class="aside">${t.otherRegistration}
      <button type="button" class="plain link" @click=${askPassword}>${t.usePassword}</button>
    </p>
  ` : nothing}
`;

const elsewhere = (form) => html`
  <p class="lead">${t.confirmElsewhere}</p>
  <form class="panel roomy" novalidate @submit=${form.submit}>
    ${refusal(form)}
    ${passwordField(form, "password", t.registeredPassword, { autocomplete: "current-password" })}
    <div class="actions">${submitButton(form, t.createMyAccount)}</div>
  </form>
  <p class="aside">${t.linkAside} <a href="/register">${t.startAgain}</a></p>
`;
