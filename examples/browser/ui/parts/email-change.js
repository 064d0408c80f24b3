// Another email address: the password, then the code that goes to the new mailbox.
import { call } from "../api.js";
import { dropFlow, keptFlow, requestCode } from "../flow.js";
import { createForm, field, passwordField, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { currentAccount, updateAccount } from "../session.js";
import { texts } from "../texts.js";
import { codeEntry } from "./code-entry.js";
import { usernameField } from "./new-password.js";
import { refusedAt } from "./refused-at.js";

const t = await texts("account");
const PURPOSE = "email_change";

/** The section, on one's own profile. */
export function emailChange({ update, signal }) {
  const change = { isOpen: false, isDone: false, entry: null };
  const form = createForm(update, async (values) => {
    begin(await ask(values, signal));
    show("code");
  });
  const show = (focused) => {
    update();
    document.getElementById(focused)?.focus();
  };

  function begin(flow) {
    const ending = new AbortController();
    const either = AbortSignal.any([signal, ending.signal]);
    const view = codeEntry({ flow, update, signal: either, send, over: () => over(open) });
    Object.assign(change, { isOpen: false, entry: { email: flow.email, view, end: () => ending.abort() } });
  }

  function end(next, focused) {
    dropFlow(PURPOSE);
    change.entry?.end();
    Object.assign(change, { isOpen: false, isDone: false, entry: null }, next);
    show(focused);
  }
  const open = () => end({ isOpen: true }, "new_email");
  const send = async (code) => {
    updateAccount(await call("/v1/account/email/verify", { body: { code } }));
    end({ isDone: true }, "address");
  };

  const kept = keptFlow(PURPOSE);
  if (kept?.accountId === currentAccount().id) begin(kept);
  return () => section(change, form, open);
}

const section = (change, form, open) => html`
  <section class="email-change" aria-labelledby="address">
    <h2 id="address" tabindex="-1">${t.email}</h2>
    <p><strong class="address">${currentAccount().email}</strong></p>
    <div role="status">${change.isDone ? html`<p class="notice good">${t.emailChanged}</p>` : ""}</div>
    ${change.entry ? pending(change.entry, open) : change.isOpen ? changeForm(form) : opener(open)}
  </section>
`;

const opener = (open) => html`
  <button type="button" class="button secondary" @click=${open}>${t.changeEmail}</button>
`;

const changeForm = (form) => html`
  <form class="panel roomy" novalidate aria-label=${t.changeEmail} @submit=${form.submit}>
    ${refusal(form)}
    <p>${t.changeEmailDetail}</p>
    ${field(form, "new_email", t.newEmail, { type: "email", autocomplete: "email" })}
    ${usernameField(currentAccount().email)}
    ${passwordField(form, "password", t.password, { autocomplete: "current-password" })}
    <div class="actions">${submitButton(form, t.sendCode)}</div>
  </form>
`;

const pending = ({ email, view }, open) => html`
  <div class="panel roomy">
    <h3>${t.confirmNewEmail}</h3>
    <p>${t.codeSentTo} <strong class="address">${email}</strong>.</p>
    <p><button type="button" class="plain link" @click=${open}>${t.wrongAddress}</button></p>
    ${view()}
  </div>
`;

const over = (open) => html`
  <p class="notice warn">${t.flowOver}</p>
  <button type="button" class="button" @click=${open}>${t.startAgain}</button>
`;

function ask({ new_email: email, password }, signal) {
  const details = { purpose: PURPOSE, accountId: currentAccount().id };
  const body = { new_email: email, password };
  return refusedAt("password", ["wrong_password"], () =>
    refusedAt("new_email", ["invalid_email"], () => requestCode("/v1/account/email", body, details, { signal })));
}
