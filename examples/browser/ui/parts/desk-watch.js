// What goes on with an asset's files at the API, asked for while somebody looks.
import { call } from "../api.js";
import { interrupted, onUploads, uploadsOf } from "./desk-uploads.js";

// Milliseconds.
const OFTEN = 1500;
const RARELY = 20_000;

const isInWork = ({ state }) => state === "processing" || state === "pending";

/** Keep `desk.renditions` and `desk.interrupted` up to date until `signal` aborts. */
export async function watchFiles(desk, signal) {
  let known = uploadsOf(desk.id).length;
  let timer = null;

  async function look() {
    clearTimeout(timer);
    const before = desk.renditions.some(isInWork);
    try {
      await load(desk, signal);
      // With the last file come poster, preview and the times of shots.
      if (before && !desk.renditions.some(isInWork)) await desk.editing.refresh();
    } catch (error) {
      if (error.name === "AbortError") return;
      console.warn("The files could not be looked at; it is tried again", error);
    }
    desk.update();
    wait();
  }

  function wait() {
    clearTimeout(timer);
    if (!signal.aborted && !document.hidden)
      timer = setTimeout(look, desk.renditions.some(isInWork) ? OFTEN : RARELY);
  }

  function uploadMoved() {
    const now = uploadsOf(desk.id).length;
    if (now < known) look();
    known = now;
    desk.update();
  }

  await load(desk, signal);
  desk.look = look;
  onUploads(uploadMoved, signal);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()), {
    signal,
  });
  signal.addEventListener("abort", () => clearTimeout(timer));
  wait();
}

async function load(desk, signal) {
  const [{ items }, left] = await Promise.all([
    call(`/v1/assets/${desk.id}/renditions`, { signal }),
    interrupted(desk.id, signal),
  ]);
  Object.assign(desk, { renditions: items, interrupted: left });
}
