// The password again, where the API wants it before something grave and it was not given lately.
import { call } from "../api.js";
import { createForm, passwordField, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";
import { createDialog } from "./dialog.js";

const t = await texts("keys");

/** `view` stands on the page once, outside of other dialogs. */
export function createPasswordQuestion(update) {
  let form;
  const dialog = createDialog(update, (_, heading) => passwordForm(form, heading, () => dialog.close()));

  function ask() {
    form = createForm(update, async ({ password }) => {
      await call("/v1/auth/reauthenticate", { body: { password } });
      dialog.close(true);
    });
    return dialog.ask();
  }

  return {
    view: dialog.view,
    /** Do it, and again once the password was given, if that was what lacked. Null: it was not given. */
    async proven(action) {
      try {
        return await action();
      } catch (error) {
        if (error.code !== "reauthentication_required") throw error;
      }
      return (await ask()) ? action() : null;
    },
  };
}

const passwordForm = (form, heading, cancel) => html`
  <form novalidate @submit=${form.submit}>
    <h2 id=${heading}>${t.passwordAgain}</h2>
    <p>${t.passwordAgainDetail}</p>
    ${refusal(form)}
    <input type="text" autocomplete="username" .value=${currentAccount()?.email} hidden readonly>
    ${passwordField(form, "password", t.password, { autocomplete: "current-password" })}
    <div class="actions">
      ${submitButton(form, t.goOn)}
      <button type="button" class="button secondary" @click=${cancel}>${t.cancel}</button>
    </div>
  </form>
`;
