import { createForm, field, passwordField, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { onward, returnPath } from "../return-to.js";
import { logIn } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("account");

export default async function login({ query, update }) {
  const further = onward(returnPath(query));
  // Once somebody is logged in, the page is shown anew, and leads back to where they were.
  const form = createForm(update, ({ email, password }) => logIn({ email, password }));

  const view = () => html`
    <h1 tabindex="-1">${t.logIn}</h1>
    <form class="panel roomy" novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${field(form, "email", t.email, { type: "email", autocomplete: "username" })}
      ${passwordField(form, "password", t.password, { autocomplete: "current-password" })}
      <div class="actions">
        ${submitButton(form, t.logIn)}
        <a href="/reset${further}">${t.forgotPassword}</a>
      </div>
    </form>
    <p class="aside">${t.noAccount} <a href="/register${further}">${t.createAccount}</a></p>
  `;
  return { title: t.logIn, view };
}
