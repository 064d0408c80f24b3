// What a mailed link shows that was cut off on its way, or is none of ours.
import { html } from "../html.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("newsletter");

export function unusableLink(title) {
  const view = () => html`
    <h1 tabindex="-1">${title}</h1>
    <p class="notice warn">${t.noToken}</p>
    <p><a href="/newsletter">${t.aboutNewsletter}</a></p>
  `;
  return { title, view };
}

/** The same page without any link: whoever has an account needs none. */
export function withoutLink(title) {
  if (!currentAccount()) return unusableLink(title);
  const view = () => html`
    <h1 tabindex="-1">${title}</h1>
    <p class="lead">${t.noLinkNeeded(currentAccount()?.email)}</p>
    <p><a class="button" href="/account/newsletter">${t.ofMyAccount}</a></p>
  `;
  return { title, view };
}

/** Whether the API knows no such link; asking again would not help. */
export const isUnusable = (error) => error.code === "token_refused";
