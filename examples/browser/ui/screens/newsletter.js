// What the newsletter is, how one gets it, and what was sent before.
import { call } from "../api.js";
import { html } from "../html.js";
import { createAccountSignup, createVisitorSignup } from "../parts/newsletter-signup.js";
import { createPastEditions, readArchive } from "../parts/past-editions.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("newsletter");

export default async function newsletter({ signal, update }) {
  const [choice, archive, mine] = await Promise.all([
    call("/v1/newsletter/topics", { signed: false, signal }),
    readArchive(signal),
    currentAccount() && call("/v1/newsletter/subscription", { signal }),
  ]);
  const signup = mine ? createAccountSignup(update, choice, mine) : createVisitorSignup(update, choice);
  const pastEditions = createPastEditions(update, archive, signal);

  const view = () => html`
    <h1 tabindex="-1">${t.newsletter}</h1>
    <p class="lead">${t.lead}</p>
    <ul class="topic-list">
      ${choice.topics.map(({ name, description }) => html`
        <li><strong>${name}</strong> <span class="quiet">${description}</span></li>
      `)}
    </ul>
    ${signup()}
    ${pastEditions()}
  `;
  return { title: t.newsletter, view };
}
