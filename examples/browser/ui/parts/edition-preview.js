// The mail as its readers will see it: in two widths, and as text.
import { apiUrl } from "../config.js";
import { call, Problem } from "../api.js";
import { explain } from "../forms.js";
import { colon } from "../format.js";
import { html, nothing, ref } from "../html.js";
import { texts } from "../texts.js";
import { placeName } from "./edition-changes.js";

const t = await texts("editions");

// CSS pixels: of a window of a mail program, and of a phone.
const WIDTHS = { desktop: 640, phone: 375 };

const isSmall = () => matchMedia("(max-width: 40rem)").matches;

/** `load(language)` fetches what is saved; `view()` shows the newest of it. */
export function createPreview({ id, update, signal, onPlace }) {
  const preview = { found: null, problem: null, isLoading: false, shape: isSmall() ? "phone" : "desktop", load, view };
  const box = { element: null, frame: null };
  let turn = 0;
  let shownTurn = 0;
  const watcher = new ResizeObserver(fit);
  signal.addEventListener("abort", () => watcher.disconnect());

  async function load(language) {
    const mine = ++turn;
    preview.isLoading = true;
    update();
    try {
      const found = await call(`/v1/newsletter/editions/${id}/preview?language=${language}`, { signal });
      if (mine === turn) Object.assign(preview, { found, problem: null });
    } catch (error) {
      if (signal.aborted) return;
      if (mine === turn) preview.problem = problemOf(error);
    }
    if (mine !== turn) return;
    preview.isLoading = false;
    update();
    point();
  }

  // The frame goes back to its first entry, or each version would be a step of the Back button.
  function point() {
    if (!box.frame || !preview.found || shownTurn === turn) return;
    const isFirst = shownTurn === 0 || !box.frame.src;
    shownTurn = turn;
    if (isFirst) box.frame.src = apiUrl(preview.found.url);
    else box.frame.contentWindow.location.replace(apiUrl(preview.found.url));
  }

  function fit() {
    const { element } = box;
    if (!element?.clientWidth || !preview.found) return;
    const width = WIDTHS[preview.shape] ?? WIDTHS.desktop;
    element.style.setProperty("--width", width);
    element.style.setProperty("--height", guessHeight(preview.found, width));
    element.style.setProperty("--scale", Math.min(1, element.clientWidth / width));
  }

  const onBox = (element) => {
    watcher.disconnect();
    box.element = element;
    if (element) watcher.observe(element);
  };
  const onFrame = (element) => {
    box.frame = element;
    if (!element) shownTurn = 0;
    else queueMicrotask(point);
  };

  function choose(shape) {
    preview.shape = shape;
    update();
    fit();
  }

  function view() {
    const { found, problem } = preview;
    queueMicrotask(fit);
    return html`
      <div class="preview-head">
        <h2>${t.preview}${preview.isLoading ? html`<span class="spinner" aria-hidden="true"></span>` : nothing}</h2>
        <div class="segments small" role="group" aria-label=${t.previewShape}>
          ${["desktop", "phone", "text"].map((each) => html`
            <button type="button" aria-pressed=${preview.shape === each} @click=${() => choose(each)}>${t.shapes[each]}</button>
          `)}
        </div>
      </div>
      ${problem ? shortcomings(problem, onPlace) : nothing}
      ${found ? html`
        <div class="mail ${problem ? "is-old" : ""}">
          ${mailbox(found)}
          <div class="mail-scroll" tabindex="0" role="region" aria-label=${t.previewOf(found.subject)} ?hidden=${preview.shape === "text"}>
            <div class="mail-page" ${ref(onBox)}>
              <iframe sandbox title=${t.previewOf(found.subject)} ${ref(onFrame)}></iframe>
            </div>
          </div>
          <pre class="mail-text" tabindex="0" lang=${found.text_language} ?hidden=${preview.shape !== "text"}>${found.text}</pre>
        </div>
        ${problem ? nothing : warnings(found)}
      ` : nothing}
    `;
  }
  return preview;
}

const mailbox = ({ subject, preheader, text_language: language }) => html`
  <p class="mailbox" lang=${language}><strong>${subject}</strong>${preheader ? html` <span>${preheader}</span>` : nothing}</p>
`;

const warnings = ({ warnings: found }) => (found.length ? html`
  <ul class="mail-warnings">${found.map(({ code, message }) => html`<li>${t.warnings[code] ?? message}</li>`)}</ul>
` : nothing);

/** What a mail lacks is no fault of a draft that is still being written. */
const shortcomings = ({ words, errors }, onPlace) => html`
  <div class="notice">
    <p>${errors.length ? t.notReady : words}</p>
    ${errors.length ? html`<ul>${errors.map(({ pointer, code, message }) => html`
      <li><button type="button" class="plain link" @click=${() => onPlace(pointer.slice(1))}>${placeName(pointer.slice(1))}</button>${colon}
        ${t.lacks[code] ?? message}</li>
    `)}</ul>` : nothing}
  </div>
`;

function problemOf(error) {
  const errors = error instanceof Problem && error.status === 422 ? error.errors : [];
  return { words: explain(error), errors };
}

/**
 * A frame tells nothing of what is in it, and would be at its top again after each change. So it
 * gets room for all of it, as nearly as can be told from the text, and scrolls outside; in CSS pixels.
 */
function guessHeight({ text, html: source }, width) {
  const column = Math.min(width, 600) - 90;
  const perLine = column / 8;
  const lines = text.split("\n").reduce((sum, line) => sum + Math.max(0.6, Math.ceil(line.length / perLine)), 0);
  const pictures = (source.match(/<img\b/g) ?? []).length;
  return Math.round(260 + lines * 29 + pictures * column * 0.62);
}
