// A new password and its rules, ticked as one types. The API has the last word.
import { call } from "../api.js";
import { passwordField } from "../forms.js";
import { html } from "../html.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { refusedAt } from "./refused-at.js";

const t = await texts("account");
const problems = await texts("problems");

// Milliseconds without a key pressed; whoever types is not talked to meanwhile.
const PAUSE = 900;
// Shorter parts of an address are in many words.
const EMAIL_PART = 4;

const lengthOf = (password) => [...password.normalize("NFC")].length;
const bytesOf = (password) => new TextEncoder().encode(password.normalize("NFC")).length;

// Whether a rule is broken. Which passwords are widely used, only the API knows.
const BROKEN = {
  password_too_short: (password, { policy }) => lengthOf(password) < policy.min_length,
  password_too_long: (password, { policy }) =>
    lengthOf(password) > policy.max_length || bytesOf(password) > policy.max_bytes,
  password_has_space: (password) => /\s/u.test(password),
  password_needs_uppercase: (password) => !/\p{Uppercase}/u.test(password),
  password_needs_lowercase: (password) => !/\p{Lowercase}/u.test(password),
  password_needs_number: (password) => !/\p{Nd}/u.test(password),
  password_needs_symbol: (password) => !/[\p{P}\p{S}]/u.test(password),
  password_contains_email: (password, { email }) =>
    partsOf(email).some((part) => password.toLowerCase().includes(part)),
};
// One can't break these by not having finished yet.
const FORBIDDEN = ["password_too_long", "password_has_space", "password_contains_email"];
const ICONS = { kept: icon.check, open: icon.dot, broken: icon.cross, later: icon.dot };

function partsOf(email) {
  const [local, domain = ""] = email.toLowerCase().split("@");
  return [local, domain, domain.split(".")[0]].filter((part) => part.length >= EMAIL_PART);
}

/**
 * The rules, loaded: `field(form, label)` draws the input and the list, `check(work)` shows what
 * the API refuses, `forget()` begins again. `name` is the field's, `email()` the address that the
 * password must not contain.
 */
export async function newPassword({ name, email, update, signal }) {
  const policy = await call("/v1/auth/password-policy", { signed: false, signal });
  const typed = { password: "", refused: [] };
  const stateOf = (code) => ruleState(code, typed, { policy, email: email() });
  const rulesId = `${name}-rules`;
  let pause = 0;
  signal.addEventListener("abort", () => clearTimeout(pause));

  function onInput({ currentTarget }) {
    Object.assign(typed, { password: currentTarget.value, refused: [] });
    clearTimeout(pause);
    pause = setTimeout(() => say(summary(policy, stateOf)), PAUSE);
    update();
  }

  const field = (form, label) => html`
    <div class="new-password">
      ${passwordField(form, name, label, { autocomplete: "new-password", describedBy: rulesId, onInput })}
      ${rules(rulesId, policy, stateOf)}
    </div>
  `;
  const check = (work) => refusedAt(name, ["password_policy"], () => noting(typed, work));
  const forget = () => Object.assign(typed, { password: "", refused: [] });
  return { field, check, forget };
}

async function noting(typed, work) {
  try {
    return await work();
  } catch (error) {
    if (error.code === "password_policy") typed.refused = error.errors.map(({ code }) => code);
    throw error;
  }
}

function ruleState(code, { password, refused }, context) {
  if (refused.includes(code)) return "broken";
  if (!password) return "open";
  if (!BROKEN[code] || (code === "password_contains_email" && !context.email)) return "later";
  if (!BROKEN[code](password, context)) return "kept";
  return FORBIDDEN.includes(code) || refused.length ? "broken" : "open";
}

function words({ code, message }, policy) {
  const known = problems[code] ?? message;
  return typeof known === "function" ? known(policy) : known;
}

const rules = (id, policy, stateOf) => html`
  <ul class="rules" id=${id} aria-label=${t.rules}>
    ${policy.rules.map((each) => rule(words(each, policy), stateOf(each.code), each.code))}
  </ul>
`;

// That it is too long is news only to whoever has typed that much.
const rule = (text, state, code) => html`
  <li class=${state} ?hidden=${code === "password_too_long" && state !== "broken"}>
    ${ICONS[state]}<span><span class="unseen">${t.ruleStates[state]}</span> ${text}</span>
  </li>
`;

function summary(policy, stateOf) {
  const missing = policy.rules.filter(({ code }) => ["open", "broken"].includes(stateOf(code)));
  return missing.length ? t.rulesMissing(missing.map((each) => words(each, policy))) : t.rulesKept;
}

/** Lets a password manager know whose password it is, where the address is not typed. */
export const usernameField = (email) => html`
  <input type="email" autocomplete="username" .value=${email ?? ""} hidden readonly>
`;
