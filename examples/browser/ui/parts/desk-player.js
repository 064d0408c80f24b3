// The asset as visitors will see it: its player or picture at the side, and all of it in a dialog.
import { apiUrl } from "../config.js";
import { day, days, duration, languageName } from "../format.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("desk");

/** Milliseconds at which the player stands; null without one. */
export function playerTime() {
  const player = document.querySelector("#desk-player :is(video, audio)");
  return player ? Math.round(player.currentTime * 1000) : null;
}

/** `onExpired` is called when a draft's address, good for an hour, no longer serves. */
export const player = ({ asset, renditions, isReadOnly }, onExpired) =>
  isReadOnly
    ? nothing
    : html`
        <div id="desk-player" class="desk-player">
          ${shown(asset, onExpired) ?? html`<p class="desk-no-player">${whyNone(asset, renditions)}</p>`}
        </div>
      `;

function shown(asset, onExpired, preload) {
  if (asset.preview) return media(asset, onExpired, preload);
  return asset.poster ? picture(asset.poster) : null;
}

function whyNone({ type }, renditions) {
  if (renditions.some(({ state }) => state === "processing" || state === "pending")) return t.previewInWork;
  return type === "story" ? t.noPicture : t.noPreview;
}

const media = ({ type, preview, poster }, onExpired, preload = "metadata") =>
  type === "audio"
    ? html`<audio
        controls
        preload=${preload}
        src=${apiUrl(preview.url)}
        aria-label=${t.preview}
        @error=${onExpired}></audio>`
    : html`<video
        controls
        playsinline
        preload=${preload}
        src=${apiUrl(preview.url)}
        poster=${poster ? apiUrl(poster.url) : nothing}
        width=${preview.width ?? 960}
        height=${preview.height ?? 540}
        aria-label=${t.preview}
        @error=${onExpired}></video>`;

const picture = ({ url, width, height }) =>
  html`<img src=${apiUrl(url)} width=${width ?? 1280} height=${height ?? 720} alt=${t.poster} />`;

/** What is in the form, saved or not, in the layout of the public page. */
export const previewDialog = ({ asset }, values, onExpired) => html`
  <dialog id="preview-dialog" class="desk-preview" aria-labelledby="preview-title" @close=${stopPlaying}>
    <p class="badge accent">${t.previewOnly}</p>
    <article lang=${values.language}>
      <h2 id="preview-title">${values.title}</h2>
      ${values.headline ? html`<p class="lead">${values.headline}</p>` : nothing}
      ${shown(asset, onExpired, "none") ?? nothing}
      <p class="quiet">${facts(asset, values)}</p>
      ${[values.summary, values.body].filter(Boolean).map((text) => html`<p class="running">${text}</p>`)}
      ${
        values.shotlist.length
          ? html`<ol class="rows">
              ${values.shotlist.map(
                (shot) =>
                  html` <li>
                    <span
                      ><code>${shot.timecode_in}</code>
                      ${shot.text}${shot.speaker ? ` — ${shot.speaker}` : ""}</span
                    >
                  </li>`,
              )}
            </ol>`
          : nothing
      }
      ${values.rights.usage_terms ? html`<p class="quiet running">${values.rights.usage_terms}</p>` : nothing}
      ${
        values.keywords.length
          ? html`<ul class="tags">
              ${values.keywords.map((each) => html`<li class="tag">${each}</li>`)}
            </ul>`
          : nothing
      }
    </article>
    <div class="actions">
      <button type="button" class="button secondary" @click=${closePreview}>${t.close}</button>
    </div>
  </dialog>
`;

const closePreview = ({ target }) => target.closest("dialog").close();
const stopPlaying = ({ target }) => target.querySelector("video, audio")?.pause();

function facts({ type, duration_ms: ms }, { location, filmed_from: from, filmed_to: to, language }) {
  return [
    t.types[type],
    ms ? duration(ms) : null,
    languageName(language),
    [location.name, location.city, location.country].filter(Boolean).join(", "),
    from ? (to && to !== from ? days(from, to) : day(from)) : null,
  ]
    .filter(Boolean)
    .join(" · ");
}
