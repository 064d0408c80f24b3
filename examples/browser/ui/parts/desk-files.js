// The files of an asset at the desk: chosen, on their way, being looked at, ready, or refused.
import { Unreachable } from "../api.js";
import { html, nothing, repeat } from "../html.js";
import { count, size } from "../format.js";
import { explain } from "../forms.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { cancel, enqueue, goOn, pace, pause, uploadsOf } from "./desk-uploads.js";
import { guessRendition, freeName, isRenditionName, PURPOSES } from "./desk-renditions.js";
import { fileBadge } from "./desk-names.js";

const t = await texts("desk");
const ACCEPTED = "video/*,audio/*,image/*,.mxf,.mov,.mts,.ts,.wav,.tif,.tiff";

/** `files` holds what was chosen and not sent yet: made once per screen. */
export const createFiles = () => ({ chosen: [], isOver: false });

export const filesSection = (desk) => html`
  <section id="files" aria-labelledby="files-title">
    <h2 id="files-title" tabindex="-1">${t.files}</h2>
    ${hasAny(desk) ? nothing : html`<p class="quiet">${t.noFilesYet}</p>`}
    <ul class="rows files">
      ${repeat(desk.renditions, ({ name }) => name, (each) => renditionRow(desk, each))}
      ${repeat(uploadsOf(desk.id), (item) => item, uploadRow)}
      ${desk.interrupted.map((each) => interruptedRow(desk, each))}
    </ul>
    ${desk.isReadOnly ? nothing : html`${chosenFiles(desk)}${dropZone(t.dropFiles, (files) => choose(desk, files), desk)}`}
  </section>
`;

const hasAny = ({ id, renditions, interrupted }) => renditions.length + interrupted.length + uploadsOf(id).length > 0;

/** A place to drop files on, and a button for the rest of us. */
export const dropZone = (label, onFiles, { files: state, update, accept = ACCEPTED, multiple = true }) => html`
  <div class="drop ${state.isOver ? "is-over" : ""}" @dragover=${(event) => over(event, state, true, update)}
    @dragleave=${(event) => over(event, state, false, update)}
    @drop=${(event) => { over(event, state, false, update); onFiles([...event.dataTransfer.files]); }}>
    ${icon.upload}
    <label class="drop-label">${label}
      <input type="file" accept=${accept} ?multiple=${multiple}
        @change=${({ target }) => { const files = [...target.files]; target.value = ""; onFiles(files); }}>
    </label>
  </div>
`;

function over(event, state, isOver, update) {
  event.preventDefault();
  if (state.isOver === isOver) return;
  state.isOver = isOver;
  update();
}

function takenNames(desk) {
  const names = [...desk.renditions, ...uploadsOf(desk.id).map(({ rendition }) => rendition), ...desk.files.chosen.map(({ rendition }) => rendition)];
  return new Set(names.map(({ name }) => name));
}

/** A file that goes on where it was begins at once; others are named first. */
function choose(desk, files) {
  for (const file of files) {
    const begun = desk.interrupted.find(({ filename, size: length }) => filename === file.name && length === file.size);
    if (begun) resume(desk, begun, file);
    else desk.files.chosen.push({ file, rendition: guessRendition(file, desk.type, takenNames(desk)) });
  }
  desk.update();
}

function resume(desk, begun, file) {
  desk.interrupted = desk.interrupted.filter((each) => each !== begun);
  enqueue(desk.id, file, begun.rendition);
}

const chosenFiles = (desk) => desk.files.chosen.length ? html`
  <form class="panel chosen" novalidate @submit=${(event) => start(event, desk)}>
    <h3>${t.chosenFiles(desk.files.chosen.length)}</h3>
    ${desk.files.chosen.map((each, index) => chosenFile(desk, each, index))}
    <div class="actions">
      <button class="button">${icon.upload} ${t.startUpload}</button>
      <button type="button" class="plain link" @click=${() => { desk.files.chosen = []; desk.update(); }}>${t.dontUpload}</button>
    </div>
  </form>
` : nothing;

function chosenFile(desk, { file, rendition }, index) {
  const isReplaced = desk.renditions.some(({ name }) => name === rendition.name);
  const isWrong = !isRenditionName(rendition.name);
  const change = (changed) => { Object.assign(rendition, changed); desk.update(); };
  const purposeChanged = ({ target }) => change({ purpose: target.value, name: freeName(target.value, takenNames(desk)) });
  return html`
    <div class="chosen-file" role="group" aria-label=${file.name}>
      <p class="chosen-name"><strong>${file.name}</strong> <span class="quiet">${size(file.size)}</span></p>
      <div class="field"><label for="purpose-${index}">${t.purpose}</label>
        <select id="purpose-${index}" .value=${rendition.purpose} @change=${purposeChanged}>
          ${PURPOSES.map((each) => html`<option value=${each} ?selected=${each === rendition.purpose}>${t.purposes[each]}</option>`)}
        </select></div>
      <div class="field"><label for="name-${index}">${t.renditionName}</label>
        <input id="name-${index}" .value=${rendition.name} autocomplete="off" autocapitalize="none" spellcheck="false" aria-invalid=${isWrong}
          aria-describedby="name-${index}-said" @input=${({ target }) => change({ name: target.value })}>
        <p id="name-${index}-said" class=${isWrong ? "refused" : "hint"}>${isWrong ? t.badRenditionName : isReplaced ? t.replaces : ""}</p></div>
    </div>
  `;
}

function start(event, desk) {
  event.preventDefault();
  if (desk.files.chosen.some(({ rendition }) => !isRenditionName(rendition.name))) {
    return event.target.querySelector("[aria-invalid=true]")?.focus();
  }
  const chosen = desk.files.chosen;
  desk.files.chosen = [];
  for (const { file, rendition } of chosen) enqueue(desk.id, file, rendition);
  return desk.update();
}

function uploadRow(item) {
  const { file, rendition, state, sent, error } = item;
  const { speed, left } = pace(item);
  const percent = file.size ? Math.floor((100 * sent) / file.size) : 100;
  const isGoing = ["waiting", "hashing", "sending", "cut"].includes(state);
  return html`
    <li class="file" data-state=${state}>
      <div class="file-what"><strong>${file.name}</strong> <span class="quiet">${rendition.name} · ${size(file.size)}</span></div>
      <div class="file-progress">
        <progress max=${file.size || 1} value=${sent} aria-label="${t.uploading} ${file.name}"></progress>
        <p class="quiet" aria-live="off">${t.uploadState[state]({ isUnreachable: error instanceof Unreachable, percent, sent: size(sent), of: size(file.size), speed: speed && size(speed), left })}</p>
        ${error && !(error instanceof Unreachable) ? html`<p class="refused" role="alert">${explain(error)}</p>` : nothing}
      </div>
      <div class="file-actions">
        ${isGoing
          ? html`<button class="button secondary small" aria-label="${t.pause} ${file.name}" @click=${() => pause(item)}>${icon.pause} ${t.pause}</button>`
          : html`<button class="button secondary small" aria-label="${t.goOn} ${file.name}" @click=${() => goOn(item)}>${icon.play} ${t.goOn}</button>`}
        <button class="plain link" aria-label="${t.cancelUpload} ${file.name}" @click=${() => confirm(t.cancelUploadSure(file.name)) && cancel(item)}>${t.cancelUpload}</button>
      </div>
    </li>
  `;
}

function interruptedRow(desk, each) {
  const percent = Math.floor((100 * each.sent) / each.size);
  const forget = async () => {
    desk.interrupted = desk.interrupted.filter((other) => other !== each);
    desk.update();
    await each.forget();
  };
  return html`
    <li class="file" data-state="interrupted">
      <div class="file-what"><strong>${each.filename}</strong> <span class="quiet">${each.rendition.name} · ${size(each.size)}</span></div>
      <div class="file-progress">
        <progress max=${each.size} value=${each.sent} aria-label=${t.arrived(each.filename)}></progress>
        <p>${t.chooseAgain(percent)}</p>
      </div>
      <div class="file-actions"><button class="plain link" aria-label="${t.cancelUpload} ${each.filename}" @click=${forget}>${t.cancelUpload}</button></div>
    </li>
  `;
}

function renditionRow(desk, each) {
  const { name, purpose, filename, state, progress, failure } = each;
  const isInWork = state === "processing" || state === "pending";
  return html`
    <li class="file" data-state=${state}>
      <div class="file-what"><strong>${filename}</strong> ${fileBadge(state)}
        <p class="quiet">${[name === purpose ? t.purposes[purpose] : `${name} (${t.purposes[purpose]})`, size(each.size_bytes), ...technical(each)].join(" · ")}</p>
        ${each.duplicate_of ? html`<p class="quiet">${t.duplicate} <a href="/desk/assets/${each.duplicate_of.asset_id}">${t.duplicateLink}</a></p>` : nothing}
      </div>
      ${isInWork ? html`<div class="file-progress"><progress max="100" value=${progress} aria-label="${t.processing} ${filename}"></progress><p class="quiet">${t.processingState(progress)}</p></div>` : nothing}
      ${failure ? html`<p class=${state === "failed" ? "refused" : "hint"}>${t.failures[failure] ?? each.failure_detail}${state === "failed" ? html`<br><small>${each.failure_detail}</small>` : nothing}</p>` : nothing}
      ${desk.isReadOnly ? nothing : html`<div class="file-actions">
        <button class="plain link" aria-label="${t.removeFile} ${filename}" @click=${() => desk.removeFile(each)}>${t.removeFile}</button></div>`}
    </li>
  `;
}

function technical({ technical: { video, image, audio_tracks: sound = [] } = {} }) {
  const picture = video ?? image;
  const rate = video?.frame_rate;
  return [
    picture?.width ? `${picture.width} × ${picture.height}` : null,
    rate ? t.framesPerSecond(count(Math.round((100 * rate.num) / rate.den) / 100)) : null,
    sound.length ? t.soundTracks(sound.length) : null,
  ].filter(Boolean);
}
