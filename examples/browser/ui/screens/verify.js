// "Check your inbox": the code of a registration or a reset, or the link of the same mail.
import { call } from "../api.js";
import { TRANSPORT } from "../config.js";
import { dropFlow, keepGrant, keptFlow, onFlowChange } from "../flow.js";
import { html } from "../html.js";
import { codeEntry } from "../parts/code-entry.js";
import { takeToken } from "../parts/link-token.js";
import { linkForm } from "../parts/registration-link.js";
import { onward, returnPath } from "../return-to.js";
import { go, reload } from "../router.js";
import { currentAccount, open } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("account");

// The registration that this tab waits for; another tab may finish it.
let awaited = null;

export default async function verify({ query, update, signal }) {
  const token = takeToken(signal);
  if (token) return linkForm(token, { own: keptFlow("registration"), update, prove: proveRegistration });
  const flow = keptFlow("registration", "password_reset");
  onFlowChange(reload, signal);
  if (flow) return waitForCode(flow, { query, update, signal });
  if (awaited && currentAccount()?.email === awaited.email) return welcome(awaited.returnTo);
  return nothingToVerify(returnPath(query));
}

function waitForCode(flow, { query, update, signal }) {
  const returnTo = flow.returnTo ?? returnPath(query);
  const isReset = flow.purpose === "password_reset";
  awaited = isReset ? null : { email: flow.email, returnTo };
  const again = (isReset ? "/reset" : "/register") + onward(returnTo);
  const prove = isReset ? proveReset : proveRegistration;
  const send = (code) => prove({ flow_id: flow.id, code }, returnTo, flow.email);
  const entry = codeEntry({ flow, update, signal, send, over: () => over(again) });
  const view = () => html`
    <h1 tabindex="-1">${t.checkInbox}</h1>
    <p class="lead">${t.codeSentTo} <strong class="address">${flow.email}</strong>.</p>
    <p><a href=${again}>${t.wrongAddress}</a></p>
    ${entry()}
    ${isReset ? html`<p class="aside">${t.resetAside}</p>` : registrationAside(returnTo)}
  `;
  return { title: t.checkInbox, view };
}

const registrationAside = (returnTo) => html`
  <p class="aside">${t.verifyAside} <a href="/login${onward(returnTo)}">${t.logIn}</a></p>
`;

async function proveRegistration(proof, returnTo) {
  const body = { ...proof, transport: TRANSPORT };
  const { session } = await call("/v1/verification-codes/verify", { body, signed: false, cookies: true });
  dropFlow("registration");
  awaited = null;
  open(session);
  return welcome(returnTo);
}

async function proveReset(proof, returnTo, email) {
  const grant = await call("/v1/verification-codes/verify", { body: proof, signed: false });
  keepGrant({ ...grant, email });
  dropFlow("password_reset");
  return go(`/reset${onward(returnTo)}`, { replace: true });
}

const welcome = (returnTo) => go(`/welcome${onward(returnTo)}`, { replace: true });

const over = (again) => html`
  <p class="notice warn">${t.flowOver}</p>
  <div class="actions"><a class="button" href=${again}>${t.startAgain}</a></div>
`;

const wayBack = (returnTo) => html`
  <a class="button" href=${returnTo}>${returnTo === "/" ? t.toCatalogue : t.goBack}</a>
`;

const waysIn = (further) => html`
  <a class="button" href="/register${further}">${t.createAccount}</a>
  <a href="/reset${further}">${t.forgotPassword}</a>
`;

function nothingToVerify(returnTo) {
  const view = () => html`
    <h1 tabindex="-1">${t.nothingToVerify}</h1>
    <p class="lead">${t.nothingToVerifyDetail}</p>
    <div class="actions">
      ${currentAccount() ? wayBack(returnTo) : waysIn(onward(returnTo))}
    </div>
  `;
  return { title: t.nothingToVerify, view };
}
