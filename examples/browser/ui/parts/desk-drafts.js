// What is not saved yet, kept in this browser for its own account, so that a crash loses nothing.
import { kept } from "../kept.js";
import { currentAccount } from "../session.js";
import { keep } from "./kept-drafts.js";

const PREFIX = "desk-draft";
const LIFETIME = 30 * 86_400_000;
const PAUSE = 300;

const keyOf = (assetId) => `${PREFIX}:${currentAccount()?.id}:${assetId}`;
let waiting = null;

/** Write it once typing pauses, and before the page goes. */
export function keepDraft({ asset, base, mine, update }) {
  clearTimeout(waiting?.timer);
  const key = keyOf(asset.id);
  const write = () => {
    waiting = null;
    keep(key, { base, mine, at: Date.now() });
    update();
  };
  waiting = { write, timer: setTimeout(write, PAUSE) };
}

export function dropDraft(assetId) {
  clearTimeout(waiting?.timer);
  waiting = null;
  kept.drop(keyOf(assetId));
}

export function keptDraft(assetId) {
  forgetOldOnes();
  return kept.getJson(keyOf(assetId));
}

/** Assets with something unsaved in this browser. */
export const hasDraft = (assetId) => kept.get(keyOf(assetId)) !== null;

function forgetOldOnes() {
  for (const key of kept.names().filter((each) => each.startsWith(PREFIX))) {
    if (!(kept.getJson(key)?.at > Date.now() - LIFETIME)) kept.drop(key);
  }
}

addEventListener("pagehide", () => waiting?.write());
