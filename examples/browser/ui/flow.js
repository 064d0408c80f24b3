// What waits for the code of a mail, kept in the browser: phones throw a page away while its reader
// is in another app. And the right to set a new password, for the quarter of an hour that it lives.
import { exchange } from "./api.js";
import { kept, keptInTab } from "./kept.js";

const FLOW = "flow:";
const GRANT = "reset-grant";
// Milliseconds; the API forgets flows then, and so does this browser with the address in it.
const KEPT_FOR = 48 * 3_600_000;

/** Ask the API for a code, and keep the flow with `details`: `purpose`, and what the caller needs. */
export async function requestCode(path, body, details, options) {
  const { body: issued, headers } = await exchange(path, { body, ...options });
  const skew = skewOf(headers.get("Date"));
  const flow = {
    ...details,
    id: issued.flow_id,
    email: issued.email,
    startedAt: details.startedAt ?? Date.now(),
    expiresAt: Date.parse(issued.code_expires_at) + skew,
    resendAt: Date.parse(issued.resend_available_at) + skew,
    wrongTries: 0,
  };
  keepFlow(flow);
  return flow;
}

// The reader's clock may be wrong; what counts is how long from now. The header has whole seconds.
function skewOf(date) {
  const skew = Date.now() - Date.parse(date);
  return Math.abs(skew) > 5000 ? skew : 0;
}

/** The same flow with a new code; the older one is dead then. */
export const requestAnotherCode = (flow, options) =>
  requestCode("/v1/verification-codes", { flow_id: flow.id }, flow, { signed: false, ...options });

export function keepFlow(flow) {
  kept.set(FLOW + flow.purpose, JSON.stringify(flow));
}

export const dropFlow = (purpose) => kept.drop(FLOW + purpose);

/** What waits for its code: of these purposes, the one that was begun last. */
export function keptFlow(...purposes) {
  const flows = purposes.map(read).filter((flow) => flow !== null);
  return flows.sort((one, other) => other.startedAt - one.startedAt)[0] ?? null;
}

function read(purpose) {
  const flow = kept.getJson(FLOW + purpose);
  if (!flow || Date.now() < flow.startedAt + KEPT_FOR) return flow;
  dropFlow(purpose);
  return null;
}

/** Be told when another tab has gone on with one, or begun another. */
export function onFlowChange(listener, signal) {
  const listen = ({ key }) => key?.startsWith(FLOW) && listener();
  window.addEventListener("storage", listen, { signal });
}

/** The right to set a new password: `{ reset_token, expires_at, email?, isUndo? }`; of this tab alone. */
export function keepGrant(grant) {
  keptInTab.set(GRANT, JSON.stringify(grant));
}

export const dropGrant = () => keptInTab.drop(GRANT);
export const keptGrant = () => keptInTab.getJson(GRANT);
