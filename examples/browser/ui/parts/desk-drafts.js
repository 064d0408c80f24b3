// What is not saved yet, kept in this browser for its own account, so that a crash loses nothing.
import { currentAccount } from "../session.js";

const PREFIX = "desk-draft";
const LIFETIME = 30 * 86_400_000;
const PAUSE = 300;

const keyOf = (assetId) => `${PREFIX}:${currentAccount()?.id}:${assetId}`;
let waiting = null;

/** Write it once typing pauses, and before the page goes. */
export function keepDraft({ asset, base, mine }) {
  clearTimeout(waiting?.timer);
  const key = keyOf(asset.id);
  const write = () => {
    waiting = null;
    try {
      localStorage.setItem(key, JSON.stringify({ base, mine, at: Date.now() }));
    } catch (error) {
      console.warn("The draft is not kept in this browser", error);
    }
  };
  waiting = { write, timer: setTimeout(write, PAUSE) };
}

export function dropDraft(assetId) {
  clearTimeout(waiting?.timer);
  waiting = null;
  localStorage.removeItem(keyOf(assetId));
}

export function keptDraft(assetId) {
  forgetOldOnes();
  return readDraft(keyOf(assetId));
}

/** Assets with something unsaved in this browser. */
export const hasDraft = (assetId) => localStorage.getItem(keyOf(assetId)) !== null;

function readDraft(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function forgetOldOnes() {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX) && !(readDraft(key)?.at > Date.now() - LIFETIME)) localStorage.removeItem(key);
  }
}

addEventListener("pagehide", () => waiting?.write());
