// The files of an asset at the desk, and those on their way.
import { Unreachable } from "../api.js";
import { html, nothing, repeat } from "../html.js";
import { size } from "../format.js";
import { explain } from "../forms.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { choose, chosenFiles } from "./desk-chosen-files.js";
import { dropZone, pickFile } from "./desk-drop-zone.js";
import { renditionRow } from "./desk-rendition-row.js";
import { cancel, chooseAgain, goOn, isLost, pace, pause, uploadsOf } from "./desk-uploads.js";

const t = await texts("desk");

/** `files` holds what was chosen and not sent yet: made once per screen. */
export const createFiles = () => ({ chosen: [], isOver: false });

export const filesSection = (desk) => html`
  <section id="files" aria-labelledby="files-title">
    <h2 id="files-title" tabindex="-1">${t.files}</h2>
    ${hasAny(desk) ? nothing : html`<p class="quiet">${t.noFilesYet}</p>`}
    <ul class="rows master-files" ?hidden=${!hasAny(desk)}>
      ${repeat(
        desk.renditions,
        ({ name }) => name,
        (each) => renditionRow(desk, each),
      )}
      ${repeat(uploadsOf(desk.id), (item) => item, uploadRow)}
      ${desk.interrupted.map((each) => interruptedRow(desk, each))}
    </ul>
    ${desk.isReadOnly ? nothing : takeFiles(desk)}
  </section>
`;

const takeFiles = (desk) => [chosenFiles(desk), dropZone(t.dropFiles, (files) => choose(desk, files), desk)];

const hasAny = ({ id, renditions, interrupted }) =>
  renditions.length + interrupted.length + uploadsOf(id).length > 0;

function progressOf(item) {
  const { file, sent, error } = item;
  const { speed, left } = pace(item);
  const percent = file.size ? Math.floor((100 * sent) / file.size) : 100;
  const sizes = { sent: size(sent), of: size(file.size), speed: speed && size(speed) };
  return { ...sizes, percent, left, isUnreachable: error instanceof Unreachable };
}

function uploadRow(item) {
  const { file, rendition, state, sent, error } = item;
  const said = t.uploadState[state](progressOf(item));
  const isRefused = error && !(error instanceof Unreachable);
  return html`
    <li class="master-file" data-state=${state}>
      <div class="file-what">
        <strong>${file.name}</strong> <span class="quiet">${rendition.name} · ${size(file.size)}</span>
      </div>
      <div class="file-progress">
        <progress max=${file.size || 1} value=${sent} aria-label="${t.uploading} ${file.name}"></progress>
        <p class="quiet" aria-live="off">${said}</p>
        ${isRefused ? html`<p class="refused" role="alert">${explain(error)}</p>` : nothing}
      </div>
      <div class="file-actions">
        ${nextStep(item)}
        <button
          class="plain link"
          aria-label="${t.cancelUpload} ${file.name}"
          @click=${() => confirm(t.cancelUploadSure(file.name)) && cancel(item)}>
          ${t.cancelUpload}
        </button>
      </div>
    </li>
  `;
}

function nextStep(item) {
  if (["waiting", "hashing", "sending", "cut"].includes(item.state)) {
    return step(item, icon.pause, t.pause, () => pause(item));
  }
  if (!isLost(item)) return step(item, icon.play, t.goOn, () => goOn(item));
  return step(item, icon.upload, t.chooseFile, () => pickFile((file) => chooseAgain(item, file)));
}

const step = ({ file }, sign, words, act) => html`
  <button class="button secondary small" aria-label="${words} ${file.name}" @click=${act}>
    ${sign} ${words}
  </button>
`;

function interruptedRow(desk, each) {
  const percent = Math.floor((100 * each.sent) / each.size);
  const forget = async () => {
    desk.interrupted = desk.interrupted.filter((other) => other !== each);
    desk.update();
    await each.forget();
  };
  return html`
    <li class="master-file" data-state="interrupted">
      <div class="file-what">
        <strong>${each.filename}</strong>
        <span class="quiet">${each.rendition.name} · ${size(each.size)}</span>
      </div>
      <div class="file-progress">
        <progress max=${each.size} value=${each.sent} aria-label=${t.arrived(each.filename)}></progress>
        <p>${t.chooseAgain(percent)}</p>
      </div>
      <div class="file-actions">
        <button class="plain link" aria-label="${t.cancelUpload} ${each.filename}" @click=${forget}>
          ${t.cancelUpload}
        </button>
      </div>
    </li>
  `;
}
