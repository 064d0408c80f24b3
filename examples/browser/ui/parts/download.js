// The files of an asset, and a download of each as far as it has got.
import { html, nothing } from "../html.js";
import { cancel, Damaged, downloadOf, pause, resume, secondsLeft, start } from "../downloads.js";
import { explain } from "../forms.js";
import { size } from "../format.js";
import { say } from "../layout.js";
import { here } from "../router.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { inFull, inShort } from "./technical.js";

const t = await texts("catalogue");

/** What has been begun, here or on an earlier visit, by the name of the file. */
export async function downloadsOf(asset) {
  const each = asset.renditions.map(async (file) => [file.name, await downloadOf(asset, file)]);
  return new Map(await Promise.all(each));
}

export function files(asset, downloads) {
  const isStory = asset.type === "story";
  if (asset.renditions.length === 0) return isStory ? nothing : html`<h2>${t.files}</h2><p>${t.noFiles}</p>`;
  return html`
    <section aria-labelledby="files">
      <h2 id="files">${t.files}</h2>
      ${currentAccount() ? nothing : invitation()}
      <ul class="files">${asset.renditions.map((file) => fileRow(file, downloads.get(file.name)))}</ul>
    </section>
  `;
}

const invitation = () => html`
  <div class="invitation">
    <p>${t.downloadsAreFree}</p>
    <div class="actions">
      <a class="button" href="/login?return_to=${encodeURIComponent(here())}">${t.logInToDownload}</a>
      <a href="/register?return_to=${encodeURIComponent(here())}">${t.createAccount}</a>
    </div>
  </div>
`;

const fileRow = (file, download) => html`
  <li class="file">
    <h3>${t.purposes[file.purpose] ?? file.purpose} ${file.name === file.purpose ? nothing : html`<small>${file.name}</small>`}</h3>
    <p class="quiet">${[inShort(file.technical), size(file.size_bytes)].filter(Boolean).join(" · ")}</p>
    ${currentAccount() ? control(file, download) : nothing}
    ${about(file)}
  </li>
`;

const about = (file) => html`
  <details class="file-about">
    <summary>${t.fileDetails}</summary>
    <dl class="facts">
      <div><dt>${t.fileName}</dt><dd>${file.filename}</dd></div>
      ${inFull(file.technical).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
      <div>
        <dt>SHA-256</dt>
        <dd>
          <code>${file.sha256}</code>
          <button class="plain link" @click=${() => copy(file.sha256)}>${t.copyHash}</button>
        </dd>
      </div>
    </dl>
  </details>
`;

async function copy(words) {
  await navigator.clipboard.writeText(words).then(() => say(t.copied), () => say(t.notCopied));
}

const percent = ({ received, size: all }) => Math.floor((100 * received) / Math.max(1, all));

// What the button does and says in each state; it stays the same button, and keeps the focus.
const MAIN = {
  idle: { act: start, words: () => t.download },
  handed: { act: start, words: () => t.downloadAgain },
  done: { act: start, words: () => t.downloadAgain },
  running: { act: pause, words: () => t.pause },
  waiting: { act: pause, words: () => t.pause },
  paused: { act: resume, words: (download) => t.goOn(percent(download)) },
  failed: { act: again, words: () => t.tryAgain },
};

/** After a fault of the disk or of the bytes, from the beginning. */
function again(download) {
  const isLost = download.error instanceof Damaged || download.error instanceof DOMException;
  return isLost || !download.handle ? start(download) : resume(download);
}

function control({ name }, download) {
  const { state } = download;
  const main = MAIN[state];
  const words = main?.words(download);
  const isUnderway = ["running", "waiting", "paused"].includes(state);
  return html`
    <div class="download">
      ${isUnderway ? progress(download) : nothing}
      <p class="download-state" role="status">${stateOf(download)}</p>
      <div class="download-actions">
        <button class="button small ${["done", "handed"].includes(state) ? "secondary" : ""}" ?hidden=${!main}
          aria-label="${words}: ${name}" @click=${() => main.act(download)}>
          ${state === "idle" ? icon.download : nothing}${words}
        </button>
        <button class="plain link" ?hidden=${!isUnderway} aria-label="${t.cancel}: ${name}"
          @click=${(event) => stop(event, download)}>${t.cancel}</button>
      </div>
    </div>
  `;
}

async function stop({ target }, download) {
  await cancel(download);
  target.parentElement.querySelector("button").focus();
}

function progress(download) {
  const { received, size: all, filename, state } = download;
  const left = state === "running" && secondsLeft(download);
  const figures = [t.progress(percent(download), size(received), size(all)), left && t.left(left)];
  return html`
    <progress max=${all} value=${received} aria-label=${filename}></progress>
    <p class="download-figures">${figures.filter(Boolean).join(" · ")}</p>
  `;
}

function stateOf({ state, error, isChecked, sha256 }) {
  if (state === "failed") return html`<span class="refused">${wordsFor(error)}</span>`;
  if (state !== "done") return t.states[state];
  return html`<span class="done">${isChecked ? t.doneAndChecked : t.done}</span> <code>${sha256}</code>`;
}

function wordsFor(error) {
  if (error instanceof Damaged) return t.damaged;
  if (error instanceof DOMException) return t.diskErrors[error.name] ?? t.diskErrors.other;
  return explain(error);
}
