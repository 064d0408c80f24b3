// The password, and the devices that are logged in.
import { call } from "../api.js";
import { createForm, passwordField, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { accountSections } from "../parts/account-sections.js";
import { devices } from "../parts/devices.js";
import { newPassword, usernameField } from "../parts/new-password.js";
import { refusedAt } from "../parts/refused-at.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("account");

export default async function security({ update, signal }) {
  const load = () => call("/v1/auth/sessions", { signal });
  const email = () => currentAccount().email;
  const [{ items }, fresh] = await Promise.all([
    load(), newPassword({ name: "new_password", email, update, signal }),
  ]);
  const list = devices({ items, load, update });
  const password = passwordChange(fresh, update, list.refresh);
  const view = () => accountSections("security", html`
    <h1 tabindex="-1">${t.security}</h1>
    ${password()}
    ${list.view()}
  `);
  return { title: t.security, view };
}

function passwordChange(fresh, update, changed) {
  const change = { isDone: false };
  const form = createForm(update, async (body, element) => {
    change.isDone = false;
    const send = () => call("/v1/account/password", { body });
    await fresh.check(() => refusedAt("current_password", ["wrong_password"], send));
    change.isDone = true;
    element.reset();
    fresh.forget();
    await changed();
  });
  return () => html`
    <section aria-labelledby="change-password">
      <h2 id="change-password">${t.changePassword}</h2>
      <div role="status">${change.isDone ? html`<p class="notice good">${t.passwordChanged}</p>` : ""}</div>
      <form novalidate aria-labelledby="change-password" @submit=${form.submit}>
        ${refusal(form)}
        ${usernameField(currentAccount().email)}
        ${passwordField(form, "current_password", t.currentPassword, { autocomplete: "current-password" })}
        ${fresh.field(form, t.newPassword)}
        <div class="actions">${submitButton(form, t.savePassword)}</div>
      </form>
    </section>
  `;
}
