// Downloads into a file that the reader has chosen. They can be paused, outlive a cut line, go on
// while one reads elsewhere, and after a reload. Other browsers download by themselves.
import { call, Problem } from "./api.js";
import { forget, keep, kept } from "./kept-downloads.js";
import { saveFrom } from "./save.js";
import { currentAccount, onSessionChange } from "./session.js";
import { transfer } from "./transfer.js";

const LONGEST_WAIT = 30; // s between two tries
const TELL_EVERY = 250; // ms: eyes need no more
const MOST_TO_CHECK = 512_000_000; // bytes that are read into memory at once
const PASSING = [429, 500, 502, 503, 504];

const downloads = new Map();
const listeners = new Set();

export const canChooseFile = () => "showSaveFilePicker" in window;

/** Be told of every change, until `signal` aborts. */
export function onDownloads(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/**
 * The download of a rendition, begun or not. `state` is idle, running, waiting (for the line), paused,
 * checking, done, handed (to the browser) or failed (`error`).
 */
export async function downloadOf(asset, { name, filename, size_bytes: size, sha256 }) {
  const owner = currentAccount()?.id;
  const key = `${owner}/${asset.id}/${name}`;
  const current = downloads.get(key);
  if (current?.sha256 === sha256) return current;
  const path = `/v1/assets/${asset.id}/renditions/${name}/downloads`;
  const download = { key, owner, path, filename, size, sha256, ...BLANK };
  const record = canChooseFile() && (await kept(key));
  if (record?.sha256 === sha256) Object.assign(download, record, { state: "paused" });
  downloads.set(key, download);
  return download;
}

const BLANK = {
  state: "idle",
  received: 0,
  handle: null,
  etag: null,
  url: null,
  error: null,
  isChecked: false,
};

/** Of two presses at once, the second does nothing. */
const onePress = (act) => async (download) => {
  if (download.isPressed) return;
  download.isPressed = true;
  await act(download).catch((error) => tell(Object.assign(download, { error }), "failed"));
  download.isPressed = false;
};

/** From the beginning: the reader is asked where to. */
export const start = onePress(async (download) => {
  if (!canChooseFile()) return handOver(download);
  try {
    const handle = await window.showSaveFilePicker({ suggestedName: download.filename });
    return begin(Object.assign(download, BLANK, { handle }));
  } catch (error) {
    if (error.name === "AbortError") return null; // the reader thought better of it
    return handOver(download);
  }
});

/** Go on where it stopped. The browser may ask whether this page may still write there. */
export const resume = onePress(async (download) => {
  const allowed = await download.handle.requestPermission({ mode: "readwrite" });
  if (allowed !== "granted") return;
  await download.task;
  begin(download);
});

/** It says so once the disk has what was received. */
export async function pause(download) {
  download.controller.abort();
  await download.task;
  if (isUnderway(download)) tell(download, "paused");
}

/** Stop, and leave nothing of it. */
export async function cancel(download) {
  download.controller?.abort();
  await download.task;
  await forget(download.key);
  await download.handle?.remove?.().catch(() => {});
  tell(Object.assign(download, BLANK), "idle");
}

/** Seconds that it will take as fast as it has been. */
export function secondsLeft({ received, size, since }) {
  const rate = since && (received - since.received) / ((performance.now() - since.time) / 1000);
  return rate > 0 ? (size - received) / rate : null;
}

const isUnderway = ({ state }) => ["running", "waiting"].includes(state);

function begin(download) {
  if (downloads.get(download.key) !== download) return; // somebody else is logged in by now
  const controller = new AbortController();
  Object.assign(download, { controller, error: null, since: null });
  tell(download, "running");
  download.task = alone(download, () => fetchAll(download, controller.signal)).catch((error) => {
    if (controller.signal.aborted) return;
    tell(Object.assign(download, { error }), "failed");
  });
}

/** Two windows would write into each other's file. */
const alone = ({ key }, work) =>
  navigator.locks.request(`download:${key}`, { ifAvailable: true }, (lock) => {
    if (!lock) throw new Problem(409, { code: "download_elsewhere" });
    return work();
  });

async function fetchAll(download, signal) {
  let wait = 1;
  while (download.received < download.size) {
    const before = download.received;
    try {
      await fetchSome(download, signal);
    } catch (error) {
      throwIfLasting(error, signal);
      if (download.received > before) wait = 1;
      tell(Object.assign(download, { url: null }), "waiting"); // the next try asks for another address
      await lineOr(wait, signal);
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }
  await check(download);
}

async function fetchSome(download, signal) {
  download.url ??= await addressOf(download, signal);
  // Only what the disk has counts; beyond that, a file would be filled up with zeros.
  const { size } = await download.handle.getFile().catch(() => ({ size: 0 }));
  download.received = Math.min(size, download.received);
  download.since = { time: performance.now(), received: download.received };
  tell(download, "running");
  const told = () => tellNowAndThen(download);
  await transfer(download, { signal, told, saved: () => remember(download) });
  if (download.received < download.size) throw new Error("The answer ended early");
}

async function addressOf({ path, sha256 }, signal) {
  const offered = await call(path, { method: "POST", signal });
  if (offered.sha256 !== sha256) throw new Problem(409, { code: "file_replaced" });
  return offered.url;
}

/** A cut line passes by itself, and so does a busy server. A full disk does not, nor a refusal. */
function throwIfLasting(error, signal) {
  signal.throwIfAborted();
  const isOfTheDisk = error instanceof DOMException && error.name !== "AbortError";
  const isRefusal = error instanceof Problem && !PASSING.includes(error.status);
  if (isOfTheDisk || isRefusal) throw error;
}

/** Until so many seconds have passed, or the line is back. */
function lineOr(seconds, signal) {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const end = (how) => () => [done.abort(), clearTimeout(timer), how(signal.reason)];
    const timer = setTimeout(end(resolve), seconds * 1000);
    addEventListener("online", end(resolve), { signal: done.signal });
    signal.addEventListener("abort", end(reject), { signal: done.signal });
  });
}

/** Are these the bytes that the API has promised? Very large files are not read once more. */
async function check(download) {
  await forget(download.key);
  if (download.size <= MOST_TO_CHECK) {
    tell(download, "checking");
    const file = await download.handle.getFile();
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    const bytes = [...new Uint8Array(digest)];
    const found = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== download.sha256) throw new Damaged();
    download.isChecked = true;
  }
  tell(download, "done");
}

/** The file on the disk is not the one that was asked for. */
export class Damaged extends Error {}

async function remember(download) {
  const { key, handle, received, etag, sha256 } = download;
  if (downloads.get(key) === download) await keep(key, { handle, received, etag, sha256 });
}

async function handOver(download) {
  try {
    const { url, filename } = await call(download.path, { method: "POST" });
    saveFrom(url, filename);
    tell(download, "handed");
  } catch (error) {
    tell(Object.assign(download, { error }), "failed");
  }
}

function tellNowAndThen(download) {
  if (performance.now() - download.toldAt > TELL_EVERY) tell(download, download.state);
}

function tell(download, state) {
  Object.assign(download, { state, toldAt: performance.now() });
  listeners.forEach((listener) => listener());
}

// Who comes after somebody at the same device sees nothing of theirs.
onSessionChange((account) => {
  for (const [key, { owner, controller }] of downloads) {
    if (owner === account?.id) continue;
    downloads.delete(key);
    controller?.abort();
  }
});

// Leaving the page stops them; who stays on it may read elsewhere.
addEventListener("beforeunload", (event) => {
  if ([...downloads.values()].some(isUnderway)) event.preventDefault();
});
