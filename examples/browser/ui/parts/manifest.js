// The list of all files of a collection, for programs that fetch them: their addresses and hashes.
import { call } from "../api.js";
import { explain } from "../forms.js";
import { html, nothing } from "../html.js";
import { here } from "../router.js";
import { saveAs } from "../save.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");

/** The API asks who wants it, so that a mere link will not do. */
export function createManifest(path, name, { update, signal }) {
  const list = { path, isBusy: false, error: null, save };

  async function save() {
    if (list.isBusy) return;
    Object.assign(list, { isBusy: true, error: null });
    update();
    try {
      const items = await allOf(path, signal);
      saveAs(new Blob([JSON.stringify({ items }, null, 2)], { type: "application/json" }), `${name}.json`);
    } catch (error) {
      if (error.name === "AbortError") return;
      list.error = explain(error);
    }
    list.isBusy = false;
    update();
  }
  return list;
}

async function allOf(path, signal) {
  const all = [];
  let cursor = "";
  do {
    const page = await call(`${path}?limit=100${cursor}`, { signal });
    all.push(...page.items);
    cursor = page.next_cursor && `&cursor=${encodeURIComponent(page.next_cursor)}`;
  } while (cursor);
  return all;
}

const logInHere = () => `/login?return_to=${encodeURIComponent(here())}`;

export const manifest = (list) => html`
  <section class="aside" aria-labelledby="manifest">
    <h2 id="manifest">${t.manifest}</h2>
    <p>${t.manifestDetail}</p>
    <p class="refusal" role="alert" ?hidden=${!list.error}>${list.error}</p>
    ${currentAccount()
      ? html`<button class="button secondary" aria-disabled=${list.isBusy} @click=${list.save}>
          ${list.isBusy ? html`<span class="spinner"></span>` : nothing}${t.saveManifest}
        </button>`
      : html`<a class="button secondary" href=${logInHere()}>${t.logInForManifest}</a>`}
  </section>
`;
