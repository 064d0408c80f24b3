// One edition: written and looked at side by side, then sent and followed.
import { call, exchange } from "../api.js";
import { html } from "../html.js";
import { say } from "../layout.js";
import { currentAccount } from "../session.js";
import { language as readersLanguage, texts } from "../texts.js";
import { createAssetPicker, insertBlock } from "../parts/asset-picker.js";
import { begin, follow, hasStarted, remove, take } from "../parts/edition-acts.js";
import { createDraft } from "../parts/edition-draft.js";
import { editionHead } from "../parts/edition-head.js";
import { createLedger } from "../parts/edition-ledger.js";
import { createPreview } from "../parts/edition-preview.js";
import { createSteps } from "../parts/edition-steps.js";
import { sent, written } from "../parts/edition-views.js";

const t = await texts("editions");

// Milliseconds between two looks at a scheduled edition, which starts by itself.
const PACE = 5000;

export default async function deskEdition({ params, signal, update }) {
  const { edition, stats, ...found } = await load(params.id, signal);
  const desk = createDesk({ edition, ...found }, { signal, update });
  if (hasStarted(desk)) begin(desk, stats);
  desk.preview.load(desk.shown);
  watch(desk);
  const view = () => html`
    ${editionHead(desk.draft.edition)}
    ${hasStarted(desk) ? sent(desk) : written(desk)}
    ${desk.steps.views()}
  `;
  const title = t.editionTitle(edition.number, edition.name);
  return { title, view, isUnsaved: desk.draft.isDirty, unsavedText: t.unsaved };
}

async function load(id, signal) {
  const address = `/v1/newsletter/editions/${id}`;
  const [{ body: edition, tag }, { topics, languages }, stats] = await Promise.all([
    exchange(address, { signal }),
    call(`/v1/newsletter/topics?language=${readersLanguage}`, { signed: false, signal }),
    call(`${address}/stats`, { signal }),
  ]);
  return { address, edition, tag, topics, languages, stats };
}

/** What the parts of the screen share. `shown` is a language, `pane` one of "write" and "look". */
function createDesk({ address, edition, tag, topics, languages }, { signal, update }) {
  const desk = {
    address, topics, languages, signal, update,
    shown: edition.language, pane: "write", progress: null, tested: null,
    // As of a form: what goes wrong with a step that needs no dialog.
    doing: { isBusy: false, error: null, refused: new Map() },
  };
  const { id } = edition;
  const owner = currentAccount().id;
  const onSaved = () => follow(desk);
  desk.draft = createDraft({ edition, tag, languages, owner, update, signal, onSaved });
  desk.preview = createPreview({ id, update, signal, onPlace: (place) => focusPlace(desk, place) });
  desk.ledger = createLedger({ id, update, signal });
  desk.picker = createAssetPicker({ update, signal, onPick: insertBlock });
  desk.steps = createSteps({
    draft: desk.draft, update, topics,
    settle: desk.draft.save,
    take: (step, body) => take(desk, step, body),
    shownLanguage: () => desk.shown,
    onTested: (test) => noteTest(desk, test),
    remove: () => remove(desk),
  });
  return desk;
}

function noteTest(desk, test) {
  desk.tested = test;
  say(t.tested(test.recipients));
}

function watch({ draft, signal }) {
  const isAwaited = () => draft.edition.state === "scheduled" && !document.hidden;
  const timer = setInterval(() => isAwaited() && draft.look(), PACE);
  signal.addEventListener("abort", () => clearInterval(timer));
  document.addEventListener("visibilitychange", () => document.hidden || draft.look(), { signal });
  document.addEventListener("keydown", (event) => saveByKey(event, draft), { signal });
}

async function saveByKey(event, draft) {
  if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey) return;
  event.preventDefault();
  if (!hasStarted({ draft }) && (await draft.save())) say(t.saved);
}

function focusPlace(desk, place) {
  const [, language, name] = place.split("/");
  Object.assign(desk, { pane: "write", shown: name ? language : desk.shown });
  desk.update();
  const element = document.getElementById(place);
  element?.closest("details")?.setAttribute("open", "");
  element?.focus();
}
