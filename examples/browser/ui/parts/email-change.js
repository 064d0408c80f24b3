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
  const form = createForm(update, async (values) => begin(await ask(values, signal)));

  function begin(flow) {
    const ending = new AbortController();
    const view = codeEntry({ flow, update, signal: AbortSignal.any([signal, ending.signal]), send, over: () => over(again) });
    Object.assign(change, { isOpen: false, entry: { email: flow.email, view, end: () => ending.abort() } });
  }

  function end(next) {
    dropFlow(PURPOSE);
    change.entry.end();
    Object.assign(change, { isOpen: false, isDone: false, entry: null }, next);
    update();
  }
  const again = () => end({ isOpen: true });
  const send = async (code) => {
    updateAccount(await call("/v1/account/email/verify", { body: { code } }));
    end({ isDone: true });
  };

  const kept = keptFlow(PURPOSE);
  if (kept?.accountId === currentAccount().id) begin(kept);
  return () => html`
    <section class="email-change" aria-labelledby="address">
      <h2 id="address">${t.email}</h2>
      <p><strong class="address">${currentAccount().email}</strong></p>
      <div role="status">${change.isDone ? html`<p class="notice good">${t.emailChanged}</p>` : ""}</div>
      ${change.entry ? pending(change.entry, again) : change.isOpen ? changeForm(form) : opener(change, update)}
    </section>
  `;
}

const opener = (change, update) => {
  const open = () => {
    Object.assign(change, { isOpen: true, isDone: false });
    update();
    document.getElementById("new_email").focus();
  };
  return html`<button type="button" class="button secondary" @click=${open}>${t.changeEmail}</button>`;
};

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

const pending = ({ email, view }, again) => html`
  <div class="panel roomy">
    <h3>${t.confirmNewEmail}</h3>
    <p>${t.codeSentTo} <strong class="address">${email}</strong>. <button type="button" class="plain link" @click=${again}>${t.wrongAddress}</button></p>
    ${view()}
  </div>
`;

const over = (again) => html`
  <p class="notice warn">${t.flowOver}</p>
  <button type="button" class="button" @click=${again}>${t.startAgain}</button>
`;

function ask({ new_email: email, password }, signal) {
  const details = { purpose: PURPOSE, accountId: currentAccount().id };
  const body = { new_email: email, password };
  return refusedAt("password", ["wrong_password"], () =>
    refusedAt("new_email", ["invalid_email"], () => requestCode("/v1/account/email", body, details, { signal })));
}
