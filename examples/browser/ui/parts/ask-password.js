// The password again, where the API wants it before something grave and it was not given lately.
import { call } from "../api.js";
import { passwordField } from "../forms.js";
import { html } from "../html.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";
import { createDialog } from "./dialog.js";

const t = await texts("keys");

/** `view` stands on the page once, outside of other dialogs. */
export function createPasswordQuestion(update) {
  const send = ({ password }) => call("/v1/auth/reauthenticate", { body: { password } }).then(() => true);
  const dialog = createDialog(update, { draw, send });

  return {
    view: dialog.view,
    /** Do it, and again once the password was given, if that was what lacked. Null: it was not given. */
    async proven(action) {
      try {
        return await action();
      } catch (error) {
        if (error.code !== "reauthentication_required") throw error;
      }
      return (await dialog.ask()) ? action() : null;
    },
  };
}

const draw = (_, form) => ({
  title: t.passwordAgain,
  body: html`
    <p>${t.passwordAgainDetail}</p>
    <input type="text" autocomplete="username" .value=${currentAccount()?.email} hidden readonly>
    ${passwordField(form, "password", t.password, { autocomplete: "current-password" })}
  `,
  action: t.goOn,
});
