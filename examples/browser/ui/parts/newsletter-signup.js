// Subscribing: visitors by a mailed link, whoever is logged in by one press.
import { call } from "../api.js";
import { createForm, field, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";
import { createChoices } from "./choices.js";
import { icon } from "./icons.js";
import { consentForm, consentText } from "./subscription.js";

const t = await texts("newsletter");

export function createVisitorSignup(update, choice) {
  const chosen = { topics: [], frequency: "each", language: choice.language };
  const choices = createChoices(update, { offered: choice, chosen });
  let asked = null;
  const form = createForm(update, async ({ email }) => {
    const body = { email, ...choices.read(), consent_text_version: choice.consent.version };
    asked = await call("/v1/newsletter/subscriptions", { body, signed: false });
    update();
    document.getElementById("signup").focus();
  });
  const again = () => {
    asked = null;
    update();
    document.getElementById("email").focus();
  };
  return () => panel(asked ? checkInbox(asked, again) : visitorForm(form, choices, choice));
}

const panel = (content) => html`<section class="panel" aria-labelledby="signup">${content}</section>`;

const visitorForm = (form, choices, { consent }) => html`
  <h2 id="signup" tabindex="-1">${t.subscribe}</h2>
  <form novalidate @submit=${form.submit}>
    ${refusal(form)}
    ${field(form, "email", t.email, { type: "email", autocomplete: "email" })}
    <details class="more-choices">
      <summary>${t.chooseMore}</summary>
      ${choices.view(form)}
    </details>
    ${consentText(consent)}
    ${submitButton(form, t.subscribe)}
  </form>
`;

// The same for every address: who is subscribed already, only the mailbox learns.
const checkInbox = ({ email, link_lifetime: lifetime, mail_interval: interval }, again) => html`
  <h2 id="signup" tabindex="-1">${t.checkInbox}</h2>
  <p>${t.checkInboxDetail(html`<strong>${email}</strong>`, Math.round(lifetime / 86_400))}</p>
  <p class="quiet">${t.mailInterval(Math.round(interval / 3600))}</p>
  <button class="plain link" @click=${again}>${t.anotherAddress}</button>
`;

export function createAccountSignup(update, choice, mine) {
  let isSubscribed = mine.status === "subscribed";
  const form = createForm(update, async () => {
    const body = { consent_text_version: choice.consent.version };
    await call("/v1/newsletter/subscription", { method: "PUT", body });
    isSubscribed = true;
    update();
    document.getElementById("signup").focus();
  });
  const email = html`<strong>${currentAccount().email}</strong>`;
  return () => panel(isSubscribed ? subscribed(email) : oneClick(form, choice, email));
}

const subscribed = (email) => html`
  <h2 id="signup" tabindex="-1">${icon.check} ${t.confirmed}</h2>
  <p>${t.subscribedAs(email)}</p>
  <p><a href="/account/newsletter">${t.toPreferences}</a></p>
`;

const oneClick = (form, { consent }, email) => html`
  <h2 id="signup" tabindex="-1">${t.subscribe}</h2>
  <p>${t.oneClickLead(email)}</p>
  ${consentForm(form, consent, t.subscribe)}
`;
