// The second step of a visitor's subscription. Opening the link changes nothing: mail scanners do it too.
import { call } from "../api.js";
import { createForm, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { focusHeading } from "../parts/heading.js";
import { icon } from "../parts/icons.js";
import { takeToken } from "../parts/link-token.js";
import { unusableLink } from "../parts/unusable-link.js";
import { texts } from "../texts.js";

const t = await texts("newsletter");

export default async function newsletterConfirm({ signal, update }) {
  const token = takeToken(signal);
  if (!token) return unusableLink(t.confirm);
  let subscription = null;
  const form = createForm(update, async () => {
    subscription = await call("/v1/newsletter/subscriptions/confirm", { body: { token }, signed: false });
    update();
    focusHeading();
  });

  const view = () => (subscription ? confirmed(subscription) : html`
    <h1 tabindex="-1">${t.confirm}</h1>
    <p class="lead">${t.confirmLead}</p>
    <form novalidate @submit=${form.submit}>
      ${refusal(form)}
      ${submitButton(form, t.subscribe)}
    </form>
  `);
  return { title: t.confirm, view };
}

const confirmed = ({ preferences_token: token }) => html`
  <div class="big-mark">${icon.check}</div>
  <h1 tabindex="-1">${t.confirmed}</h1>
  <p class="lead">${t.confirmedLead}</p>
  <div class="actions">
    <a class="button" href="/newsletter/preferences#token=${encodeURIComponent(token)}">${t.toPreferences}</a>
    <a href="/">${t.toCatalogue}</a>
  </div>
`;
