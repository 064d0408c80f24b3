// Where “unsubscribe” in a mail leads: one press, no log-in, and nothing happens before it.
import { call } from "../api.js";
import { createForm, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { focusHeading } from "../parts/heading.js";
import { takeToken } from "../parts/link-token.js";
import { isUnusable, unusableLink, withoutLink } from "../parts/unusable-link.js";
import { texts } from "../texts.js";

const t = await texts("newsletter");

export default async function newsletterUnsubscribe({ signal, update }) {
  const token = takeToken(signal);
  if (!token) return withoutLink(t.leave);
  const path = `/v1/newsletter/unsubscribe/${encodeURIComponent(token)}`;
  let link;
  try {
    link = await call(path, { signed: false, signal });
  } catch (error) {
    if (isUnusable(error)) return unusableLink(t.leave);
    throw error;
  }
  let hasLeft = false;
  const form = createForm(update, async () => {
    link = await call(path, { method: "POST", signed: false });
    hasLeft = true;
    update();
    focusHeading();
  });

  const view = () => {
    if (hasLeft || (link.status !== "subscribed" && link.email)) return left(link);
    return link.status === "subscribed" ? offer(form, link) : nobody();
  };
  return { title: t.leave, view };
}

const offer = (form, { email }) => html`
  <h1 tabindex="-1">${t.leave}</h1>
  <p class="lead">${t.leaveLead(html`<strong>${email ?? t.thisAddress}</strong>`)}</p>
  <form novalidate @submit=${form.submit}>
    ${refusal(form)}
    ${submitButton(form, t.unsubscribe)}
  </form>
`;

const left = ({ email }) => html`
  <h1 tabindex="-1">${t.left}</h1>
  <p class="lead">${t.leftLead(html`<strong>${email ?? t.thisAddress}</strong>`)}</p>
  <p class="aside">${t.changedMind} <a href="/newsletter">${t.comeBack}</a></p>
`;

// Of a link whose subscriber is gone, nobody knows whether they left.
const nobody = () => html`
  <h1 tabindex="-1">${t.nobody}</h1>
  <p class="lead">${t.nobodyLead}</p>
  <p><a href="/newsletter">${t.aboutNewsletter}</a></p>
`;
