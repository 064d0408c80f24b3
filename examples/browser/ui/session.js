// Who is logged in. The access token lives in memory and for minutes; what renews it is an HttpOnly
// cookie, or on another site than the API's, where no cookie goes, a token in this browser's storage.
import { API_URL, TRANSPORT } from "./config.js";
import { call, Problem, signWith, Unreachable } from "./api.js";
import { kept } from "./kept.js";
import { forgetAll as forgetDownloads } from "./kept-downloads.js";

const HINT = "logged-in";
const REFRESH_TOKEN = "refresh-token";
// Seconds: a call that starts now shall not arrive too late.
const MARGIN = 20;
// Milliseconds that one waits for the server, or for another tab that does.
const LONGEST_WAIT = 10_000;

let access = { token: null, validUntil: 0 };
let account = null;
const listeners = new Set();

export const currentAccount = () => account;
export const isEditor = () => ["editor", "admin"].includes(account?.role);

/** Be told when somebody logs in or out, in this tab or another. */
export function onSessionChange(listener) {
  listeners.add(listener);
}

/** Take up the session of the last visit, if there is one. */
export async function resume() {
  if (!account && kept.get(HINT)) await renewed(access.token);
}

export async function logIn({ email, password }) {
  const body = { email, password, transport: TRANSPORT };
  open(await ask("/v1/auth/login", body));
}

/** Begin with the answer of a log-in, or of the code that made the account. */
export function open(answer) {
  accept(answer);
}

export async function logOut() {
  await inTurn(() => ask("/v1/auth/logout", refreshToken()));
  close();
}

/** The profile has changed, or the address. */
export function updateAccount(changed) {
  account = changed;
  listeners.forEach((listener) => listener(account));
}

/** Whoever's account or session has ended keeps nothing here. */
export function close() {
  access = { token: null, validUntil: 0 };
  kept.drop(HINT);
  kept.drop(REFRESH_TOKEN);
  forgetDownloads();
  updateAccount(null);
}

function accept(answer) {
  access = {
    token: answer.access_token,
    validUntil: Date.now() + (answer.expires_in - MARGIN) * 1000,
  };
  if (kept.get(HINT) !== answer.account.id) forgetDownloads(); // of who was here before
  if (answer.refresh_token) kept.set(REFRESH_TOKEN, answer.refresh_token);
  kept.set(HINT, answer.account.id); // last: it is what other tabs hear
  updateAccount(answer.account);
}

/** For what sends by itself, such as uploads: a token that is good now, or null. */
export const accessToken = () => token();

async function token() {
  if (!access.token || Date.now() < access.validUntil) return access.token;
  return renewed(access.token);
}

/** Another token than this one, which no longer serves; null when the session has ended. */
async function renewed(old) {
  try {
    return await renew(old);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    close();
    return null;
  }
}

/** Tabs take turns, and calls of one tab share what the first of them got. */
function renew(old) {
  return inTurn(async () => {
    if (access.token !== old) return access.token;
    accept(await ask("/v1/auth/refresh", refreshToken()));
    return access.token;
  });
}

const inLimit = () => AbortSignal.timeout(LONGEST_WAIT);

const ask = (path, body) => call(path, { body, signed: false, cookies: true, signal: inLimit() });

async function inTurn(work) {
  try {
    return await navigator.locks.request("session", { signal: inLimit() }, work);
  } catch (error) {
    // As browsers call it when `inLimit` is over; the work itself has limits of its own.
    const isTimeUp = ["TimeoutError", "AbortError"].includes(error.name);
    throw isTimeUp ? new Unreachable(API_URL, { cause: error }) : error;
  }
}

/** As a body has it; the cookie goes by itself. */
const refreshToken = () => (TRANSPORT === "bearer" ? { refresh_token: kept.get(REFRESH_TOKEN) } : {});

/** Take part in what other tabs did: an account may have left, or another one come. */
function followOthers() {
  if (!kept.get(HINT)) close();
  else if (kept.get(HINT) !== account?.id) renewed(access.token).catch(() => {});
}

signWith({ token, renewed });
// A message between tabs may come before what it speaks of can be read; this event never does.
window.addEventListener("storage", ({ key }) => key === HINT && followOthers());
window.addEventListener("pageshow", (event) => event.persisted && followOthers());
