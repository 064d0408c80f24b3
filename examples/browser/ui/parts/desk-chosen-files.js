// Files that were chosen and not sent yet: each gets its purpose and its name first.
import { html, nothing } from "../html.js";
import { size } from "../format.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { optionsOf } from "./desk-inputs.js";
import { enqueue, uploadsOf } from "./desk-uploads.js";
import { freeName, guessRendition, isRenditionName, PURPOSES } from "./desk-renditions.js";

const t = await texts("desk");

function takenNames(desk) {
  const names = [
    ...desk.renditions,
    ...uploadsOf(desk.id).map(({ rendition }) => rendition),
    ...desk.files.chosen.map(({ rendition }) => rendition),
  ];
  return new Set(names.map(({ name }) => name));
}

/** A file that goes on where it was begins at once; others are named first. */
export function choose(desk, files) {
  for (const file of files) {
    const begun = desk.interrupted.find(
      ({ filename, size: length }) => filename === file.name && length === file.size,
    );
    if (begun) resume(desk, begun, file);
    else desk.files.chosen.push({ file, rendition: guessRendition(file, desk.type, takenNames(desk)) });
  }
  desk.update();
}

function resume(desk, begun, file) {
  desk.interrupted = desk.interrupted.filter((each) => each !== begun);
  enqueue(desk.id, file, begun.rendition);
}

export const chosenFiles = (desk) =>
  desk.files.chosen.length
    ? html`
        <form class="panel chosen" novalidate @submit=${(event) => start(event, desk)}>
          <h3>${t.chosenFiles(desk.files.chosen.length)}</h3>
          ${desk.files.chosen.map((each, index) => chosenFile(desk, each, index))}
          <div class="actions">
            <button class="button">${icon.upload} ${t.startUpload}</button>
            <button
              type="button"
              class="plain link"
              @click=${() => {
                desk.files.chosen = [];
                desk.update();
              }}>
              ${t.dontUpload}
            </button>
          </div>
        </form>
      `
    : nothing;

function chosenFile(desk, { file, rendition }, index) {
  const isReplaced = desk.renditions.some(({ name }) => name === rendition.name);
  const isWrong = !isRenditionName(rendition.name);
  const change = (changed) => {
    Object.assign(rendition, changed);
    desk.update();
  };
  const purposeChanged = ({ target }) =>
    change({ purpose: target.value, name: freeName(target.value, takenNames(desk)) });
  return html`
    <div class="chosen-file" role="group" aria-label=${file.name}>
      <p class="chosen-name"><strong>${file.name}</strong> <span class="quiet">${size(file.size)}</span></p>
      <div class="field">
        <label for="purpose-${index}">${t.purpose}</label>
        <select id="purpose-${index}" .value=${rendition.purpose} @change=${purposeChanged}>
          ${optionsOf(
            PURPOSES.map((each) => [each, t.purposes[each]]),
            rendition.purpose,
          )}
        </select>
      </div>
      <div class="field">
        <label for="name-${index}">${t.renditionName}</label>
        <input
          id="name-${index}"
          .value=${rendition.name}
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          aria-invalid=${isWrong}
          aria-describedby="name-${index}-said"
          @input=${({ target }) => change({ name: target.value })} />
        <p id="name-${index}-said" class=${isWrong ? "refused" : "hint"}>
          ${isWrong ? t.badRenditionName : isReplaced ? t.replaces : ""}
        </p>
      </div>
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
