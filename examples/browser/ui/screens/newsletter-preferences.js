// Where “preferences” in a mail leads. The link was mailed to the address, so no log-in is needed.
import { exchange } from "../api.js";
import { html } from "../html.js";
import { takeToken } from "../parts/link-token.js";
import { createSubscription } from "../parts/subscription.js";
import { isUnusable, unusableLink, withoutLink } from "../parts/unusable-link.js";
import { texts } from "../texts.js";

const t = await texts("newsletter");

export default async function newsletterPreferences({ signal, update }) {
  const token = takeToken(signal);
  if (!token) return withoutLink(t.preferences);
  const link = createLink(token, signal);
  let found;
  try {
    found = await link.read();
  } catch (error) {
    if (isUnusable(error)) return unusableLink(t.preferences);
    throw error;
  }
  const subscription = createSubscription(update, found, {
    read: link.read,
    save: link.change,
    leave: () => link.change({ status: "unsubscribed" }),
    comeBack: () => link.change({ status: "subscribed", consent_text_version: found.choice.consent.version }),
  });
  const email = html`<strong>${found.email}</strong>`;
  const view = () => html`
    <h1 tabindex="-1">${subscription.isSubscribed ? t.preferences : t.left}</h1>
    <p class="lead">${lead(subscription, email)}</p>
    ${subscription.view()}
  `;
  return { title: t.preferences, view };
}

const lead = ({ isSubscribed, status }, email) => {
  if (isSubscribed) return t.preferencesLead(email);
  return status === "suppressed" ? t.suppressedLead(email) : t.leftLead(email);
};

/** Each change names the version that it was made on, so that none of another window is undone unseen. */
function createLink(token, signal) {
  const path = `/v1/newsletter/preferences/${encodeURIComponent(token)}`;
  let tag = null;
  const ask = async (options) => {
    const answer = await exchange(path, { signed: false, ...options });
    tag = answer.tag;
    return answer.body;
  };
  return {
    read: () => ask({ signal }),
    async change(body) {
      try {
        return await ask({ method: "PUT", body, tag });
      } catch (error) {
        if (error.status === 412) return null;
        throw error;
      }
    },
  };
}
