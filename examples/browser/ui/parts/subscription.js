// A subscription in its owner's hands: choosing, leaving and coming back.
import { createForm, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { createChoices } from "./choices.js";
import { focusHeading } from "./heading.js";

const t = await texts("newsletter");

/**
 * `found` is what the API says: `status`, `topics`, `frequency`, `language`, and in `choice` what can be
 * chosen. `actions` do it and give what is so then: `save(choices)`, `leave()`, `comeBack()`. Where one
 * gives null, it was changed elsewhere meanwhile; `read()` gives how.
 */
export function createSubscription(update, found, actions) {
  const now = { notice: null, isSaved: false };
  const choosing = createForm(update, async () => {
    now.isSaved = await act(() => actions.save(now.choices.read()));
  });
  const leaving = createForm(update, () => act(actions.leave));
  const comingBack = createForm(update, () => act(actions.comeBack, { text: t.confirmed, style: "good" }));
  take(found);

  function take(next) {
    const choices = createChoices(changed, { offered: next.choice, chosen: next });
    Object.assign(now, { found: next, choices, isSubscribed: next.status === "subscribed" });
  }

  function changed() {
    now.isSaved = false;
    update();
  }

  async function act(action, notice = null) {
    Object.assign(now, { notice: null, isSaved: false });
    const was = now.isSubscribed;
    const next = await action();
    take(next ?? (await actions.read()));
    now.notice = next ? notice : { text: t.changed, style: "warn" };
    update();
    if (now.notice || now.isSubscribed !== was) focusHeading();
    return next !== null;
  }

  return {
    get isSubscribed() {
      return now.isSubscribed;
    },
    get status() {
      return now.found.status;
    },
    view: () => html`
      <div role="status">${now.notice ? notice(now.notice) : nothing}</div>
      ${now.isSubscribed ? choiceForm(choosing, now) : comeBackForm(comingBack, now.found)}
      ${now.isSubscribed ? leaveForm(leaving) : nothing}
    `,
  };
}

const notice = ({ text, style }) => html`<p class="notice ${style}">${text}</p>`;

const choiceForm = (form, { choices, isSaved }) => html`
  <form novalidate @submit=${form.submit}>
    ${refusal(form)}
    ${choices.view(form)}
    <div class="actions">
      ${submitButton(form, t.save)}
      <p class="is-saved" role="status">${isSaved ? t.saved : nothing}</p>
    </div>
  </form>
`;

const leaveForm = (form) => html`
  <form class="aside" novalidate @submit=${form.submit}>
    ${refusal(form)}
    <p>${t.mayLeave}</p>
    ${submitButton(form, t.unsubscribe, "secondary")}
  </form>
`;

const comeBackForm = (form, { choice, subscribed_at: since }) =>
  consentForm(form, choice.consent, since === null ? t.subscribe : t.comeBack);

/** One button, with the words that whoever presses it agrees to. */
export const consentForm = (form, consent, label) => html`
  <form novalidate @submit=${form.submit}>
    ${refusal(form)}
    ${consentText(consent)}
    ${submitButton(form, label)}
  </form>
`;

/** Shown word for word: evidence of the consent names its version. */
export const consentText = ({ text, language }) => html`<p class="quiet" lang=${language}>${text}</p>`;
