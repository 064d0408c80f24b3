// The preview, and which shot of it is on the screen.
import { html, nothing, ref } from "../html.js";
import { apiUrl } from "../config.js";
import { languageTitle } from "../format.js";
import { isReaders } from "../localised.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");

/** `startAt` is in seconds; `update` is called when another shot begins. */
export function createPlayer(asset, { startAt, update }) {
  const player = { shot: null, view, seek };
  let media = null;
  const captions = captionsOf(asset);

  function view(title) {
    if (!asset.preview) return nothing;
    return asset.type === "audio" ? audio(title) : video(title);
  }

  const audio = (title) => html`
    <audio ${ref(take)} controls preload="metadata" aria-label=${title.text}
      src=${apiUrl(asset.preview.url)} @timeupdate=${follow}></audio>
  `;

  const video = (title) => html`
    <video ${ref(take)} controls playsinline preload="metadata" crossorigin="anonymous"
      aria-label=${title.text} width=${asset.preview.width} height=${asset.preview.height}
      poster=${asset.poster ? apiUrl(asset.poster.url) : nothing}
      src=${apiUrl(asset.preview.url)} @timeupdate=${follow} @seeking=${follow}>
      ${captions.map(track)}
    </video>
  `;

  function take(element) {
    media = element ?? null;
    if (!element || !startAt) return;
    const begin = () => (element.currentTime = startAt);
    if (element.readyState > 0) begin();
    else element.addEventListener("loadedmetadata", begin, { once: true });
  }

  function follow({ target }) {
    const now = target.currentTime * 1000 + 1; // a seek may end a little before its shot
    const isRunning = ({ start_ms: start, end_ms: end }) => start <= now && (end === null || now < end);
    const running = asset.shotlist.findLast(isRunning);
    if (running?.number === player.shot) return;
    player.shot = running?.number;
    update();
  }

  function seek(ms) {
    media.currentTime = ms / 1000;
    media.play().catch(() => {}); // where the browser lets nothing play by itself, the picture stands there
    media.scrollIntoView({ block: "nearest" });
  }
  return player;
}

/** The reader's language is on from the start, if there are captions in it. */
function captionsOf({ captions }) {
  const chosen = captions.find(({ language }) => isReaders(language));
  return captions.map((each) => ({ ...each, isChosen: each === chosen }));
}

const track = ({ kind, language, label, url, isChosen }) => html`
  <track kind=${kind} srclang=${language} label=${label ?? languageTitle(language)}
    src=${apiUrl(url)} ?default=${isChosen}>
`;

/** What stands there instead of a preview. */
export function stillOf(asset, title) {
  const isPicture = asset.type === "image";
  if (!asset.poster) return asset.type === "story" ? nothing : html`<p class="notice">${t.noPreview}</p>`;
  return html`
    <img class="still" src=${apiUrl(asset.poster.url)} alt=${isPicture ? title.text : ""} lang=${title.lang}
      width=${asset.poster.width} height=${asset.poster.height} fetchpriority="high">
    ${isPicture || asset.type === "story" ? nothing : html`<p class="notice">${t.noPreview}</p>`}
  `;
}
