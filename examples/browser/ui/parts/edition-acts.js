// What is done with the edition on the screen, and what the screen does then. `desk` is the screen's.
import { call, Problem } from "../api.js";
import { refuse } from "../forms.js";
import { say } from "../layout.js";
import { go } from "../router.js";
import { texts } from "../texts.js";
import { createProgress } from "./edition-sending.js";
import { keepFocus, takeStep } from "./edition-steps.js";

const t = await texts("editions");

export const hasStarted = ({ draft }) => draft.edition.started_at !== null;

/** Whatever the server has by now: show that, and follow what is on its way. */
export function follow(desk) {
  const { address, preview, signal } = desk;
  desk.tested = null;
  preview.load(desk.shown);
  if (!hasStarted(desk) || desk.progress) return;
  call(`${address}/stats`, { signal }).then(
    (stats) => begin(desk, stats),
    () => {},
  );
}

/** It has started: its figures are followed from now on. */
export function begin(desk, stats) {
  const { draft, ledger, signal, update } = desk;
  const onStateChange = async () => {
    say(t.progress[desk.progress.stats.state]);
    await Promise.all([draft.look(), ledger.load()]);
  };
  desk.progress = createProgress({ edition: draft.edition, stats, update, signal, onStateChange });
  ledger.load();
  update();
}

/** Post a step of its life, and show its answer. */
export async function take(desk, step, body) {
  const { draft } = desk;
  draft.follow(await upToDate(desk, () => takeStep(draft, step, body)));
  say(t.states[draft.edition.state]);
  await desk.progress?.look();
}

export const takeByName = (desk, step) => attempt(desk, () => take(desk, step));

export const retryFailed = (desk) =>
  attempt(desk, async () => {
    await call(`${desk.address}/retry-failed`, { method: "POST" });
    await Promise.all([desk.draft.look(), desk.progress.look(), desk.ledger.load()]);
  });

export async function remove(desk) {
  const { address, draft } = desk;
  await upToDate(desk, () => call(address, { method: "DELETE", tag: draft.tag }));
  draft.forget();
  go("/desk/editions");
}

/** Of a version that is no longer the newest, the newest is shown, to be decided on anew. */
async function upToDate({ draft }, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Problem && [409, 412].includes(error.status)) await draft.look();
    throw error;
  }
}

/** What has no dialog of its own says above the text what went wrong. */
async function attempt({ doing, update }, work) {
  Object.assign(doing, { isBusy: true, error: null });
  update();
  await work().catch((error) => refuse(doing, error));
  doing.isBusy = false;
  update();
  keepFocus();
}
