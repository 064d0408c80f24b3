import { createForm, field, passwordField, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { safePath } from "../router.js";
import { logIn } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("account");

export default async function login({ query, update }) {
  const returnTo = safePath(query.get("return_to"));
  // Once somebody is logged in, the page is shown anew, and leads back to where they were.
  const form = createForm(update, ({ email, password }) => logIn({ email, password }));
  const onward = `return_to=${encodeURIComponent(returnTo)}`;

  const view = () => html`
    <h1 tabindex="-1">${t.logIn}</h1>
    <form novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${field(form, "email", t.email, { type: "email", autocomplete: "username" })}
      ${passwordField(form, "password", t.password, { autocomplete: "current-password" })}
      <div class="actions">
        ${submitButton(form, t.logIn)}
        <a href="/reset?${onward}">${t.forgotPassword}</a>
      </div>
    </form>
    <p class="aside">${t.noAccount} <a href="/register?${onward}">${t.createAccount}</a></p>
  `;
  return { title: t.logIn, view };
}
