// A file that has arrived: being looked at, ready, or refused.
import { html, nothing } from "../html.js";
import { count, size } from "../format.js";
import { texts } from "../texts.js";
import { fileBadge } from "./desk-names.js";

const t = await texts("desk");

export function renditionRow(desk, each) {
  const { filename, state, progress, failure } = each;
  const isInWork = state === "processing" || state === "pending";
  return html`
    <li class="master-file" data-state=${state}>
      <div class="file-what">
        <strong>${filename}</strong> ${fileBadge(state)}
        <p class="quiet">${facts(each)}</p>
        ${each.duplicate_of ? duplicate(each.duplicate_of) : nothing}
      </div>
      ${
        isInWork
          ? html`<div class="file-progress">
              <progress max="100" value=${progress} aria-label="${t.processing} ${filename}"></progress>
              <p class="quiet">${t.processingState(progress)}</p>
            </div>`
          : nothing
      }
      ${failure ? why(each) : nothing}
      ${
        desk.isReadOnly
          ? nothing
          : html`<div class="file-actions">
              <button
                class="plain link"
                aria-label="${t.removeFile} ${filename}"
                @click=${() => desk.removeFile(each)}>
                ${t.removeFile}
              </button>
            </div>`
      }
    </li>
  `;
}

const duplicate = ({ asset_id: id }) => html`
  <p class="quiet">${t.duplicate} <a href="/desk/assets/${id}">${t.duplicateLink}</a></p>
`;

/** In our words, and beneath them in the API's. */
const why = ({ state, failure, failure_detail: detail }) => html`
  <p class=${state === "failed" ? "refused" : "hint"}>
    ${t.failures[failure] ?? detail} ${state === "failed" ? html`<br /><small>${detail}</small>` : nothing}
  </p>
`;

function facts(each) {
  const { name, purpose, size_bytes: bytes } = each;
  const called = name === purpose ? t.purposes[purpose] : `${name} (${t.purposes[purpose]})`;
  return [called, size(bytes), ...technical(each)].join(" · ");
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
