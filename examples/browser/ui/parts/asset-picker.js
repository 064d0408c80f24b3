// A dialog that finds a published asset and puts its block into a text.
import { call } from "../api.js";
import { apiUrl } from "../config.js";
import { explain } from "../forms.js";
import { day, duration } from "../format.js";
import { html, nothing, ref } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("editions");

const PAUSE = 250;
const FIELDS = "slug,title,type,poster,published_at,duration_ms,language";

export function createAssetPicker({ update, signal, onPick }) {
  const picker = { open, view };
  const state = { items: null, query: "", error: null, hasPoster: true, isBusy: false };
  let dialog;
  let target;
  let timer;
  let searching = new AbortController();
  signal.addEventListener("abort", () => { clearTimeout(timer); searching.abort(); });

  function open(textarea) {
    target = textarea;
    dialog.showModal();
    if (!state.items) search();
  }

  async function search() {
    searching.abort();
    const { signal: mine } = (searching = new AbortController());
    const wanted = new URLSearchParams({ limit: 12, fields: FIELDS, ...(state.query && { q: state.query }) });
    Object.assign(state, { isBusy: true, error: null });
    update();
    try {
      state.items = (await call(`/v1/assets?${wanted}`, { signed: false, signal: mine })).items;
    } catch (error) {
      if (mine.aborted) return;
      state.error = explain(error);
    }
    state.isBusy = false;
    update();
  }

  function onType({ target: input }) {
    state.query = input.value.trim();
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  }

  function pick({ slug }) {
    dialog.close();
    onPick(target, `::asset[${slug}]${state.hasPoster ? "" : "{poster=false}"}`);
  }

  function submit(event) {
    event.preventDefault();
    clearTimeout(timer);
    search();
  }

  function view() {
    return html`
      <dialog class="picker" aria-labelledby="picker-heading" ${ref((element) => { dialog = element; })}>
        <h2 id="picker-heading">${t.insertAsset}</h2>
        <form role="search" @submit=${submit}>
          <input type="search" aria-label=${t.findAsset} placeholder=${t.findAsset} autocomplete="off" autofocus @input=${onType}>
        </form>
        <label class="option">
          <input type="checkbox" .checked=${state.hasPoster} @change=${({ target: box }) => { state.hasPoster = box.checked; }}>
          ${t.withPoster}
        </label>
        <div class="picker-found" aria-busy=${state.isBusy}>
          ${state.error ? html`<div class="refusal" role="alert">${state.error}</div>` : nothing}
          <p class="unseen" role="status">${state.items && !state.isBusy ? t.found(state.items.length) : nothing}</p>
          ${state.items?.length === 0 ? html`<p class="quiet">${t.nothingFound}</p>` : nothing}
          <ul>${(state.items ?? []).map((asset) => html`<li>${choice(asset, pick)}</li>`)}</ul>
        </div>
        <div class="actions"><button type="button" class="button secondary" @click=${() => dialog.close()}>${t.close}</button></div>
      </dialog>
    `;
  }
  return picker;
}

const choice = (asset, pick) => html`
  <button type="button" class="plain picker-choice" @click=${() => pick(asset)}>
    ${asset.poster
      ? html`<img src=${apiUrl(asset.poster.url)} alt="" width="96" height="54" loading="lazy">`
      : html`<span class="no-poster" aria-hidden="true"></span>`}
    <span>
      <span class="picker-title" lang=${asset.language ?? nothing}>${asset.title}</span>
      <small>${[t.types[asset.type], asset.duration_ms && duration(asset.duration_ms), asset.published_at && day(asset.published_at)].filter(Boolean).join(" · ")}</small>
    </span>
  </button>
`;

/** Put a block on a line of its own, where the cursor is. */
export function insertBlock(textarea, block) {
  const { selectionStart: start, selectionEnd: end, value } = textarea;
  const before = value.slice(0, start);
  const after = value.slice(end);
  const lead = !before || before.endsWith("\n\n") ? "" : before.endsWith("\n") ? "\n" : "\n\n";
  const tail = after.startsWith("\n\n") ? "" : after.startsWith("\n") ? "\n" : "\n\n";
  textarea.focus();
  const inserted = lead + block + tail;
  // The only way of inserting that the browser can undo; where it is gone, the text still goes in.
  if (document.execCommand("insertText", false, inserted)) return;
  textarea.setRangeText(inserted, start, end, "end");
  textarea.dispatchEvent(new Event("input", { bubbles: true }));
}
