// The subscription of the account's own address: proven already, so one press is enough.
import { call } from "../api.js";
import { html } from "../html.js";
import { accountSections } from "../parts/account-sections.js";
import { createSubscription } from "../parts/subscription.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("newsletter");
const PATH = "/v1/newsletter/subscription";

export default async function myNewsletter({ signal, update }) {
  const [choice, mine] = await Promise.all([
    call("/v1/newsletter/topics", { signed: false, signal }),
    call(PATH, { signal }),
  ]);
  const put = async (body) => withChoice(await call(PATH, { method: "PUT", body }), choice);
  const subscription = createSubscription(update, withChoice(mine, choice), {
    save: put,
    comeBack: () => put({ consent_text_version: choice.consent.version }),
    async leave() {
      await call(PATH, { method: "DELETE" });
      return withChoice(await call(PATH), choice);
    },
  });
  const email = html`<strong>${currentAccount().email}</strong>`;
  const view = () => accountSections("newsletter", html`
    <h1 tabindex="-1">${t.newsletter}</h1>
    <p class="lead">${lead(subscription, email)}</p>
    ${subscription.view()}
    <p class="aside"><a href="/newsletter">${t.toArchive}</a></p>
  `);
  return { title: t.newsletter, view };
}

const lead = ({ isSubscribed, status }, email) => {
  if (isSubscribed) return t.preferencesLead(email);
  return status === "suppressed" ? t.suppressedLead(email) : t.oneClickLead(email);
};

// Topics that are no longer offered stay chosen; of these the account's subscription has no names.
function withChoice(mine, choice) {
  const offered = new Set(choice.topics.map(({ slug }) => slug));
  const retired = mine.topics.filter((slug) => !offered.has(slug));
  const topics = [...choice.topics, ...retired.map((slug) => ({ slug, name: slug, is_retired: true }))];
  return { ...mine, choice: { ...choice, topics } };
}
