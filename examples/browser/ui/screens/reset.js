// A forgotten password: the address, the code (on /verify) or the link of the mail, a new password.
import { call } from "../api.js";
import { dropFlow, dropGrant, keepGrant, keptFlow, keptGrant, requestCode } from "../flow.js";
import { createForm, field, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { icon } from "../parts/icons.js";
import { dropToken, takeToken } from "../parts/link-token.js";
import { newPassword, usernameField } from "../parts/new-password.js";
import { refusedAs, refusedAt } from "../parts/refused-at.js";
import { onward, returnPath } from "../return-to.js";
import { go, reload, safePath } from "../router.js";
import { currentAccount } from "../session.js";
import { language, texts } from "../texts.js";

const t = await texts("account");

export default async function reset(context) {
  const token = takeToken(context.signal);
  if (token) return followLink(token, context);
  if (history.state?.updated) return updated(safePath(history.state.returnTo));
  const grant = keptGrant();
  if (grant && Date.parse(grant.expires_at) > Date.now()) return chooseNew(grant, context);
  return askForAddress(context);
}

function askForAddress({ query, update, signal }) {
  const returnTo = returnPath(query);
  const known = currentAccount()?.email;
  const form = createForm(update, async ({ email }) => {
    const body = { email, purpose: "password_reset", locale: language, return_to: returnTo };
    const details = { purpose: "password_reset", returnTo };
    const ask = () => requestCode("/v1/verification-codes", body, details, { signed: false, signal });
    await refusedAt("email", ["invalid_email"], ask);
    return go(`/verify${onward(returnTo)}`);
  });
  const view = () => html`
    <h1 tabindex="-1">${t.resetPassword}</h1>
    <p class="lead">${t.resetLead}</p>
    <form class="panel roomy" novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${field(form, "email", t.registeredEmail, { type: "email", autocomplete: "username", value: known ?? "" })}
      <div class="actions">${submitButton(form, t.sendCode)}</div>
    </form>
    ${known ? "" : html`<p class="aside"><a href="/login${onward(returnTo)}">${t.backToLogin}</a></p>`}
  `;
  return { title: t.resetPassword, view };
}

// Opening the link does nothing, for mail scanners open links; the button uses it up.
function followLink(token, { update }) {
  const form = createForm(update, async () => {
    const prove = () => call("/v1/verification-codes/verify", { body: { token }, signed: false });
    const grant = await refusedAs("code_refused", "link_over", prove);
    keepGrant({ ...grant, email: keptFlow("password_reset")?.email });
    dropFlow("password_reset");
    dropToken();
    return reload();
  });
  const view = () => html`
    <h1 tabindex="-1">${t.resetPassword}</h1>
    <p class="lead">${t.resetByLink}</p>
    <form @submit=${form.submit}>
      ${refusal(form)}
      <div class="actions">${submitButton(form, t.chooseNewPassword)} ${againButton()}</div>
    </form>
  `;
  return { title: t.resetPassword, view };
}

async function chooseNew(grant, { update, signal }) {
  const password = await newPassword({ name: "new_password", email: () => grant.email ?? "", update, signal });
  const form = createForm(update, async ({ new_password: chosen }) => {
    const body = { reset_token: grant.reset_token, new_password: chosen };
    const answer = await password.check(() => call("/v1/auth/password-reset", { body, signed: false }));
    return finish(answer.return_to);
  });
  const view = () => html`
    <h1 tabindex="-1">${t.newPasswordTitle}</h1>
    ${grant.isUndo ? html`<p class="notice good">${t.undone}</p>` : ""}
    <form class="panel roomy" novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${usernameField(grant.email)}
      ${password.field(form, t.newPassword)}
      <div class="actions">${submitButton(form, t.savePassword)} ${againButton()}</div>
    </form>
  `;
  return { title: t.newPasswordTitle, view };
}

async function finish(returnTo) {
  dropGrant();
  // Lasts through a reload, and no link can lead here.
  history.replaceState({ ...history.state, updated: true, returnTo }, "", "/reset");
  // Every session of the account is over; if it was the one here, this call finds that out.
  if (currentAccount()) await call("/v1/account").catch(() => {});
  return reload();
}

const againButton = () => html`
  <button type="button" class="plain link" @click=${startAgain}>${t.startAgain}</button>
`;

function startAgain() {
  dropGrant();
  dropToken();
  reload();
}

function updated(returnTo) {
  const view = () => html`
    <div class="big-mark">${icon.check}</div>
    <h1 tabindex="-1">${t.passwordUpdated}</h1>
    <p class="lead">${t.passwordUpdatedDetail}</p>
    <div class="actions">
      <a class="button" href=${returnTo}>${returnTo === "/" ? t.toCatalogue : t.backToPage}</a>
      ${currentAccount() ? "" : html`<a href="/login${onward(returnTo)}">${t.logIn}</a>`}
    </div>
  `;
  return { title: t.passwordUpdated, view };
}
