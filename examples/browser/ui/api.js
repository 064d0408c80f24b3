// Calls of the API. Whoever calls gets the answer's body, or one of two errors.
import { apiUrl, API_URL } from "./config.js";
import { language } from "./texts.js";

/** What the API refused, as RFC 9457 says it: `status`, `code`, `title`, `detail`, `errors`. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.title = body.title;
    this.errors = body.errors ?? [];
    /** Seconds, where it says when to come back. */
    this.retryAfter = retryAfter;
  }
}

/** Nothing came back: the line is down, or the server is. */
export class Unreachable extends Error {}

let credentials = { token: async () => null, renewed: async (_old) => null };

/** `session.js` says here how calls are signed; what is public needs no session. */
export function signWith(source) {
  credentials = source;
}

/**
 * Call the API; `body` is sent as JSON. Options: `method`, `headers`, `signal`, `signed` (false for
 * what is alike for everybody), `tag` (sent as If-Match), `once` (an Idempotency-Key).
 */
export async function call(path, options = {}) {
  return (await exchange(path, options)).body;
}

/** The same, with the answer's headers: `{ body, tag, headers }`. */
export async function exchange(path, options = {}) {
  const response = await respond(path, options);
  const text = await response.text().catch(unreachable(options));
  const isJson = /[/+]json/.test(response.headers.get("Content-Type") ?? "");
  const body = isJson && text ? JSON.parse(text) : text || null;
  return { body, tag: response.headers.get("ETag"), headers: response.headers };
}

/** The response itself, for bodies that are no JSON. Refusals are errors here too. */
export async function respond(path, { signed = true, ...options } = {}) {
  const token = signed ? await credentials.token() : null;
  let response = await send(path, options, token);
  if (response.status === 401 && token) {
    const another = await credentials.renewed(token);
    if (another) response = await send(path, options, another);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function send(path, { method, body, headers, signal, tag, once, cookies = false }, token) {
  const sent = { Accept: "application/json", "Accept-Language": language, ...headers };
  const isJson = body !== undefined && !(body instanceof Blob) && typeof body !== "string";
  if (isJson) sent["Content-Type"] ??= method === "PATCH" ? MERGE_PATCH : "application/json";
  if (token) sent.Authorization = `Bearer ${token}`;
  if (tag) sent["If-Match"] = tag;
  if (once) sent["Idempotency-Key"] = once;
  const request = { method: method ?? (body === undefined ? "GET" : "POST"), headers: sent, signal };
  request.body = isJson ? JSON.stringify(body) : body;
  request.credentials = cookies ? "include" : "omit";
  return fetch(apiUrl(path), request).catch(unreachable({ signal }));
}

/** Not all browsers name the error of a call whose time is up after that. */
const unreachable = ({ signal }) => (error) => {
  const isGivenUp = error.name === "AbortError" && signal?.reason?.name !== "TimeoutError";
  throw isGivenUp ? error : new Unreachable(API_URL, { cause: error });
};

const MERGE_PATCH = "application/merge-patch+json";

async function problemOf(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After"), 10) || null;
  const body = await response.json().catch(() => ({})) ?? {};
  return new Problem(response.status, body, seconds);
}
