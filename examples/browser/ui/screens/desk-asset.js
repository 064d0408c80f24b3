import { createForm } from "../forms.js";
import { html, nothing } from "../html.js";
import { localTime, moment } from "../format.js";
import { texts } from "../texts.js";
import { captionsSection, createCaptions } from "../parts/desk-captions.js";
import { conflictPanel } from "../parts/desk-conflict.js";
import { createActions } from "../parts/desk-actions.js";
import { keepOthersOut } from "../parts/desk-drop-zone.js";
import { createEditing, read } from "../parts/desk-editing.js";
import { createFiles, filesSection } from "../parts/desk-files.js";
import {
  aboutSection,
  createChoosers,
  placeSection,
  rightsSection,
  textSection,
  translationsSection,
} from "../parts/desk-form.js";
import { head, lifeCard, saveBar } from "../parts/desk-head.js";
import { createHistory } from "../parts/desk-history.js";
import { player, playerTime, previewDialog } from "../parts/desk-player.js";
import { shotlistSection } from "../parts/desk-shotlist.js";
import { watchFiles } from "../parts/desk-watch.js";
import { unkeptNote } from "../parts/kept-drafts.js";

const t = await texts("desk");
const HOUR = 3_600_000;
const TIMED = new Set(["video", "audio"]);

export default async function deskAsset({ params, signal, update }) {
  const history = createHistory(params.id, update, signal);
  const editing = createEditing({
    ...(await read(params.id, signal)),
    update,
    signal,
    onSaved: history.renew,
  });
  const desk = createDesk(editing, update);
  await watchFiles(desk, signal);
  const parts = {
    desk,
    editing,
    history,
    update,
    captions: createCaptions(desk, update),
    choosers: createChoosers(editing, update, signal),
    problem: createForm(update, () => {}),
    when: {
      isLater: editing.asset.status === "scheduled",
      at: localTime(editing.asset.publish_at ?? Date.now() + HOUR),
    },
  };
  Object.assign(parts, createActions(parts), {
    onExpired: renewAddresses(parts),
    submit: (event) => submit(editing, event),
  });
  document.addEventListener("keydown", saveByKey, { signal });
  keepOthersOut(signal);
  return {
    title: editing.asset.title,
    view: () => view(parts),
    isUnsaved: editing.isUnsaved,
    unsavedText: t.leaveUnsaved,
  };
}

function createDesk(editing, update) {
  const { id, type } = editing.asset;
  return {
    id,
    type,
    editing,
    update,
    files: createFiles(),
    renditions: [],
    interrupted: [],
    isTimed: TIMED.has(type),
    get asset() {
      return editing.asset;
    },
    get isReadOnly() {
      return editing.asset.status === "withdrawn";
    },
  };
}

const view = ({
  desk,
  editing,
  history,
  captions,
  choosers,
  problem,
  dialogs,
  update,
  onExpired,
  actions,
  submit,
}) => html`
  <div class="desk-asset">
    <header>${head(desk)}</header>
    <aside class="desk-side" aria-label=${t.visibility}>
      ${player(desk, onExpired)} ${lifeCard(desk, { problem, actions })} ${contents(desk)}
    </aside>
    <div class="desk-main">
      ${unkeptNote(update)} ${restored(editing)} ${conflictPanel(editing)}
      ${
        desk.isReadOnly
          ? filesSection(desk)
          : html` ${desk.type === "story" ? nothing : filesSection(desk)}
              <form id="words" novalidate @submit=${submit}>
                ${textSection(editing)} ${aboutSection(editing, choosers)}
                ${desk.isTimed ? shotlistSection(editing, playerTime) : nothing}
              </form>
              ${desk.isTimed ? captionsSection(captions, desk) : nothing}
              ${desk.type === "story" ? filesSection(desk) : nothing}
              <form novalidate @submit=${submit}>
                ${rightsSection(editing)} ${translationsSection(editing)} ${placeSection(editing, choosers)}
              </form>`
      }
      ${history.view()} ${desk.isReadOnly ? nothing : saveBar(editing)}
    </div>
    ${Object.values(dialogs).map((dialog) => dialog.view())}
    ${previewDialog(desk, editing.mine, onExpired)}
  </div>
`;

function sectionsOf({ type, isTimed, isReadOnly }) {
  if (isReadOnly) return ["files", "history"];
  const words = ["text", "about", ...(isTimed ? ["shotlist", "captions"] : [])];
  return [
    ...(type === "story" ? [...words, "files"] : ["files", ...words]),
    "rights",
    "translations",
    "place",
    "history",
  ];
}

const contents = (desk) => html`
  <nav class="desk-contents" aria-label=${t.contents}>${sectionsOf(desk).map(sectionLink)}</nav>
`;

const sectionLink = (id) =>
  html`<a href="#${id}" @click=${(event) => toSection(event, id)}>${t.sections[id]}</a>`;

function toSection(event, id) {
  event.preventDefault();
  const heading = document.getElementById(`${id}-title`);
  heading.scrollIntoView();
  heading.focus({ preventScroll: true });
}

const restored = (editing) =>
  editing.restoredFrom
    ? html`
        <div class="notice" role="status">
          ${t.restored(moment(editing.restoredFrom))}
          <button type="button" class="plain link" @click=${editing.discard}>${t.discardRestored}</button>
        </div>
      `
    : nothing;

/** A draft's player has an address for an hour; then another is asked for, once in a while. */
function renewAddresses({ editing, update }) {
  let last = Date.now();
  return async () => {
    if (Date.now() - last < HOUR / 2) return;
    last = Date.now();
    await editing.refresh().then(update, () => {});
  };
}

/** What was refused may stand in another part of the page than the form that was sent. */
async function submit(editing, event) {
  await editing.form.submit(event);
  if (!editing.form.error) return;
  const trouble =
    document.querySelector("#conflict-title") ?? document.querySelector(".desk-main [aria-invalid=true]");
  trouble?.focus();
}

function saveByKey(event) {
  if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  document.getElementById("words")?.requestSubmit();
}
