// The account is there: one button to the newsletter, one back to where they came from.
import { call } from "../api.js";
import { createForm, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { icon } from "../parts/icons.js";
import { returnPath } from "../return-to.js";
import { texts } from "../texts.js";

const t = await texts("account");

export default async function welcome({ query, update, signal }) {
  const returnTo = returnPath(query);
  const [{ consent }, found] = await Promise.all([
    call("/v1/newsletter/topics", { signed: false, signal }),
    call("/v1/newsletter/subscription", { signal }),
  ]);
  const newsletter = { isSubscribed: found.status === "subscribed" };
  const form = createForm(update, async () => {
    const body = { consent_text_version: consent.version };
    await call("/v1/newsletter/subscription", { method: "PUT", body });
    newsletter.isSubscribed = true;
    update();
    document.getElementById("newsletter").focus();
  });

  const view = () => html`
    <div class="big-mark">${icon.check}</div>
    <h1 tabindex="-1">${t.accountCreated}</h1>
    <p class="lead">${t.canDownload}</p>
    <section class="panel roomy" aria-labelledby="newsletter">
      <h2 id="newsletter" tabindex="-1">${t.newsletter}</h2>
      <div role="status">${newsletter.isSubscribed ? subscribed() : ""}</div>
      ${newsletter.isSubscribed ? "" : offer(form, consent)}
    </section>
    <div class="actions">
      <a class="button secondary" href=${returnTo}>${returnTo === "/" ? t.toCatalogue : t.goBack}</a>
    </div>
  `;
  return { title: t.accountCreated, view };
}

const subscribed = () => html`
  <p class="notice good">${t.subscribed}</p>
  <p><a href="/account/newsletter">${t.choosePreferences}</a></p>
`;

// The words beside the button are what is agreed to, so they are the API's own.
const offer = (form, consent) => html`
  <form @submit=${form.submit}>
    ${refusal(form)}
    <p lang=${consent.language}>${consent.text}</p>
    <div class="actions">${submitButton(form, t.subscribe)}</div>
  </form>
`;
