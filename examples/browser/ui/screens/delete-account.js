// Erasing one's account: what goes, what stays and how long, the password, and a last question.
import { call } from "../api.js";
import { createForm, passwordField, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { accountSections } from "../parts/account-sections.js";
import { usernameField } from "../parts/new-password.js";
import { refusedAt } from "../parts/refused-at.js";
import { go } from "../router.js";
import { close, currentAccount, logOut } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("account");

export default async function deleteAccount({ update }) {
  const form = createForm(update, async ({ password }) => {
    if (password && !(await isConfirmed())) return;
    const erase = () => call("/v1/account", { method: "DELETE", body: { password } });
    await refusedAt("password", ["wrong_password"], erase);
    await go("/", { replace: true });
    // The session is gone with the account; this tells the cookie and the other tabs.
    await logOut().catch(close);
  });
  const view = () => accountSections("profile", html`
    <h1 tabindex="-1">${t.deleteTitle}</h1>
    <p class="lead">${t.deleteLead}</p>
    <h2>${t.erasedTitle}</h2>
    <ul>${t.erased.map((each) => html`<li>${each}</li>`)}</ul>
    <h2>${t.keptTitle}</h2>
    <ul>${t.kept.map((each) => html`<li>${each}</li>`)}</ul>
    <form class="panel roomy" novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${usernameField(currentAccount().email)}
      ${passwordField(form, "password", t.password, { autocomplete: "current-password", hint: t.deletePasswordHint })}
      <div class="actions">${submitButton(form, t.deleteButton, "danger")} <a href="/account">${t.keepAccount}</a></div>
    </form>
    ${lastQuestion()}
  `);
  return { title: t.deleteTitle, view };
}

const lastQuestion = () => html`
  <dialog id="last-question" aria-labelledby="last-question-title">
    <form method="dialog">
      <h2 id="last-question-title">${t.deleteQuestion}</h2>
      <p>${t.deleteQuestionDetail}</p>
      <div class="actions">
        <button class="button danger" value="yes">${t.deleteConfirm}</button>
        <button class="button secondary" value="no" autofocus>${t.keepAccount}</button>
      </div>
    </form>
  </dialog>
`;

/** Escape is a no. */
function isConfirmed() {
  const dialog = document.getElementById("last-question");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
