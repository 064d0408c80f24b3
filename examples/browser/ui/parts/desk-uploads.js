// Files on their way to the API by tus (docs/uploads.md): one at a time, and on after any cut. The
// queue lives as long as the page, whichever screen is shown.
import "../vendor/tus-js-client/tus.min.js";
import { call, Problem, respond, Unreachable } from "../api.js";
import { apiUrl } from "../config.js";
import { accessToken, currentAccount, onSessionChange } from "../session.js";
import { keptUploads } from "./kept-uploads.js";

const { tus } = globalThis;
// Each piece is a request, which brings a fresh token and is small enough for proxies.
const PIECE = 64 * 1024 * 1024;
// Milliseconds before the next try; the last goes for all that follow.
const PAUSES = [500, 2000, 5000, 10_000];
// Up to here the whole file is hashed first; a browser must hold it in memory for that.
const CHEAP_TO_HASH = 64 * 1024 * 1024;
const FILE_LOST = "desk_file_lost";
const ENDED = new Set([404, 410]);
const PASSING = new Set(["upload_offset_conflict", "upload_locked", "rate_limited", "too_many_uploads"]);

const queue = [];
const listeners = new Set();
const tell = () => listeners.forEach((listener) => listener());

/** Be told of every step, until `signal` aborts. */
export function onUploads(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/** Of whoever is logged in: what another person began here waits for them. */
export const uploadsOf = (assetId) =>
  queue.filter((item) => item.assetId === assetId && item.owner === currentAccount()?.id);
export const areUploadsRunning = () =>
  queue.some(({ state }) => ["waiting", "hashing", "sending", "cut"].includes(state));

/** `rendition` is `{ name, purpose }`. Begins at once, or after those that came before. */
export function enqueue(assetId, file, rendition) {
  queue.push({
    assetId,
    file,
    rendition,
    owner: currentAccount().id,
    state: "waiting",
    sent: 0,
    samples: [],
    tries: 0,
    error: null,
  });
  next();
}

export function pause(item) {
  item.state = "paused";
  stop(item);
  next();
}

export function goOn(item) {
  Object.assign(item, { state: "waiting", error: null });
  next();
}

export const isLost = ({ error }) => error?.code === FILE_LOST;

/** After its file was lost: the same, found again, goes on where it was; another begins anew. */
export async function chooseAgain(item, file) {
  const { name, size, lastModified } = item.file;
  const isSame = file.name === name && file.size === size && file.lastModified === lastModified;
  if (!isSame && item.upload?.url) await item.upload.abort(true).catch(() => {});
  Object.assign(item, { file, upload: null, sent: isSame ? item.sent : 0, tries: 0 });
  goOn(item);
}

/** Give it up, here and at the API. */
export async function cancel(item) {
  queue.splice(queue.indexOf(item), 1);
  item.state = "cancelled";
  stop(item);
  next();
  if (item.upload?.url) await item.upload.abort(true).catch(() => {});
}

/** Bytes a second over the last moments, and the seconds that are left; null while unknown. */
export function pace({ samples, sent, file }) {
  const [[start, first], [end, last]] = [samples[0] ?? [0, 0], samples.at(-1) ?? [0, 0]];
  const speed = end - start < 1000 ? null : ((last - first) * 1000) / (end - start);
  return { speed, left: speed > 0 ? (file.size - sent) / speed : null };
}

function next() {
  tell();
  if (queue.some(({ state }) => ["hashing", "sending", "cut"].includes(state))) return;
  const item = queue.find(({ state }) => state === "waiting");
  if (item) send(item).catch((error) => fail(item, error));
}

async function send(item) {
  if (!item.upload) {
    Object.assign(item, { state: "hashing" });
    tell();
    await (item.ready ??= prepare(item));
  }
  if (item.state !== "hashing" && item.state !== "waiting") return; // paused or given up meanwhile
  Object.assign(item, { state: "sending", samples: [] });
  tell();
  item.upload.start();
}

const markOf = (owner, assetId) => `mma:${owner}:${assetId}:`;

async function prepare(item) {
  const { assetId, file, rendition } = item;
  const sha256 = await hash(file);
  item.upload = new tus.Upload(file, {
    endpoint: apiUrl("/v1/uploads"),
    chunkSize: PIECE,
    retryDelays: null, // we say that we wait, and for what
    urlStorage: keptUploads,
    removeFingerprintOnSuccess: true,
    metadata: {
      filename: file.name,
      asset_id: assetId,
      rendition: rendition.name,
      purpose: rendition.purpose,
      ...(sha256 && { sha256 }),
    },
    fingerprint: async () =>
      markOf(item.owner, assetId) + [rendition.name, file.name, file.size, file.lastModified].join(":"),
    onBeforeRequest: async (request) => request.setHeader("Authorization", `Bearer ${await accessToken()}`),
    onProgress: (sent) => note(item, sent),
    onSuccess: () => finish(item),
    onError: (error) => fail(item, error),
  });
  const [previous] = await item.upload.findPreviousUploads();
  if (previous) item.upload.resumeFromPreviousUpload(previous);
}

async function hash(file) {
  if (file.size > CHEAP_TO_HASH || !globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function note(item, sent) {
  const now = Date.now();
  Object.assign(item, { sent, tries: 0, error: null });
  if (now - (item.samples.at(-1)?.[0] ?? 0) < 250) return;
  item.samples = [...item.samples.filter(([at]) => now - at < 6000), [now, sent]];
  tell();
}

function finish(item) {
  queue.splice(queue.indexOf(item), 1);
  next();
}

function stop(item) {
  clearTimeout(item.timer);
  item.upload?.abort().catch(() => {});
}

async function fail(item, error) {
  const problem = await problemOf(error, item.file);
  if (!queue.includes(item) || item.state === "paused") return;
  Object.assign(item, { error: problem, ready: null });
  // A line that is down, or a server that is, comes back; what was refused stays refused.
  const { status, code } = item.error;
  const isPassing = item.error instanceof Unreachable || PASSING.has(code) || status === 408 || status >= 500;
  item.state = isPassing ? "cut" : "failed";
  if (isPassing) item.timer = setTimeout(() => again(item), PAUSES[Math.min(item.tries, PAUSES.length - 1)]);
  item.tries += 1;
  if (!isPassing) next();
  else tell();
}

function again(item) {
  clearTimeout(item.timer);
  if (item.state !== "cut") return;
  Object.assign(item, { state: "waiting" });
  next();
}

async function problemOf(error, file) {
  const answer = error.originalResponse;
  if (!answer?.getStatus()) {
    if (error instanceof Problem) return error;
    return (await isReadable(file)) ? new Unreachable(error.message) : new Problem(422, { code: FILE_LOST });
  }
  let body = {};
  try {
    body = JSON.parse(answer.getBody());
  } catch {
    body = { title: error.message }; // of something between here and the API
  }
  return new Problem(answer.getStatus(), body, null);
}

/** A file that was moved, deleted or written to can't be; a request that sends it looks like a cut line. */
const isReadable = (file) =>
  file.slice(0, 1).arrayBuffer().then(
    () => true,
    () => false,
  );

/**
 * Uploads that one began in this browser and did not finish: `{ filename, size, sent, rendition, forget }`.
 * The same file, chosen again, goes on where it was.
 */
export async function interrupted(assetId, signal) {
  const known = await keptUploads.findUploadsBegunWith(markOf(currentAccount()?.id, assetId));
  const running = new Set(queue.map(({ upload }) => upload?.url));
  const ours = known.filter(({ uploadUrl }) => !running.has(uploadUrl));
  return (await Promise.all(ours.map((each) => describe(each, signal)))).filter(Boolean);
}

async function describe({ uploadUrl, urlStorageKey, metadata, size }, signal) {
  const path = new URL(uploadUrl, apiUrl("/")).pathname;
  const headers = { "Tus-Resumable": "1.0.0" };
  const drop = () => keptUploads.removeUpload(urlStorageKey);
  const forget = async () => {
    await drop();
    await call(path, { method: "DELETE", headers }).catch(() => {});
  };
  try {
    const response = await respond(path, { method: "HEAD", headers, signal });
    const sent = Number(response.headers.get("Upload-Offset"));
    if (sent < size)
      return {
        filename: metadata.filename,
        size,
        sent,
        rendition: { name: metadata.rendition, purpose: metadata.purpose },
        forget,
      };
    await drop();
  } catch (error) {
    if (ENDED.has(error.status)) await drop();
  }
  return null;
}

addEventListener("online", () => queue.forEach(again));
addEventListener("beforeunload", (event) => {
  if (areUploadsRunning()) event.preventDefault();
});
onSessionChange((account) => {
  for (const item of [...queue]) {
    if (account?.id !== item.owner && item.state !== "paused") pause(item);
  }
});
