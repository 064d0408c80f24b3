// The link of the mail that went to the former address: gives the account back to it.
import { call } from "../api.js";
import { keepGrant } from "../flow.js";
import { createForm, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { dropToken, takeToken } from "../parts/link-token.js";
import { go } from "../router.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("account");

export default async function undo({ update, signal }) {
  const token = takeToken(signal);
  const form = createForm(update, async () => {
    const grant = await call("/v1/account/email/undo", { body: { token }, signed: false });
    keepGrant({ ...grant, isUndo: true });
    dropToken();
    await go("/reset", { replace: true });
    // Every session of the account is over; if it was the one here, this call finds that out.
    if (currentAccount()) await call("/v1/account").catch(() => {});
  });
  const view = () => html`
    <h1 tabindex="-1">${t.undoTitle}</h1>
    ${token ? undoForm(form) : incomplete()}
  `;
  return { title: t.undoTitle, view };
}

const incomplete = () => html`
  <p class="notice warn">${t.linkIncomplete}</p>
  <p><a href="/">${t.toCatalogue}</a></p>
`;

const undoForm = (form) => html`
  <p class="lead">${t.undoLead}</p>
  <form @submit=${form.submit}>
    ${refusal(form)}
    <div class="actions">${submitButton(form, t.undoButton)}</div>
  </form>
`;
