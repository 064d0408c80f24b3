import { keptFlow, requestCode } from "../flow.js";
import { createForm, field, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { newPassword } from "../parts/new-password.js";
import { PERSON_FIELDS, personFields } from "../parts/person-fields.js";
import { refusedAt } from "../parts/refused-at.js";
import { onward, returnPath } from "../return-to.js";
import { go } from "../router.js";
import { language, texts } from "../texts.js";

const t = await texts("account");

export default async function register({ query, update, signal }) {
  const returnTo = returnPath(query);
  const address = { typed: "" };
  const password = await newPassword({ name: "password", email: () => address.typed, update, signal });
  const form = createForm(update, async (values) => {
    await password.check(() => refusedAt("email", ["invalid_email"], () => ask(values, returnTo, signal)));
    return go(`/verify${onward(returnTo)}`);
  });
  const onEmail = ({ currentTarget }) => {
    address.typed = currentTarget.value;
    update();
  };

  const view = () => html`
    <h1 class="register-title" tabindex="-1">${t.hero}</h1>
    ${waiting(keptFlow("registration"))}
    <form class="panel roomy" novalidate aria-labelledby="create" @submit=${form.submit}>
      <h2 id="create">${t.createAccount}</h2>
      ${refusal(form)}
      ${field(form, "email", t.email, { ...EMAIL, onInput: onEmail })}
      ${password.field(form, t.password)}
      ${aboutYou(form)}
      <div class="actions">${submitButton(form, t.createAccount)}</div>
    </form>
    <p class="aside">${t.haveAccount} <a href="/login${onward(returnTo)}">${t.logIn}</a></p>
  `;
  return { title: t.createAccount, view };
}

const EMAIL = { type: "email", autocomplete: "username", hint: t.emailHint };

const aboutYou = (form) => html`
  <details class="about-you" ?open=${PERSON_FIELDS.some((name) => form.refused.has(name))}>
    <summary>${t.aboutYou}</summary>
    <p class="hint">${t.aboutYouHint}</p>
    ${personFields(form)}
  </details>
`;

// These must be there; what is left out of the rest is not known.
const NOTHING = { email: "", password: "" };

function ask(values, returnTo, signal) {
  const given = Object.entries(values).filter(([, value]) => value !== "");
  const body = { ...NOTHING, ...Object.fromEntries(given), locale: language, return_to: returnTo };
  const details = { purpose: "registration", returnTo };
  return requestCode("/v1/auth/register", body, details, { signed: false, signal });
}

const waiting = (flow) => (flow === null ? nothing : html`
  <p class="notice">
    ${t.waitingFor} <strong class="address">${flow.email}</strong>. <a href="/verify">${t.enterCode}</a>
  </p>
`);
