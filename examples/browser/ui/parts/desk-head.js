// The state of an asset in words: what is public, what is not saved, and what can be done.
import { ago, colon, moment } from "../format.js";
import { refusal } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { bothZones } from "./desk-dialogs.js";
import { statusBadge } from "./desk-names.js";

const t = await texts("desk");
const labels = (await texts("desk-form")).fields;

export const head = ({ asset }) => html`
  <p class="desk-back"><a href="/desk?status=${asset.status}">${icon.back} ${t.toDesk}</a></p>
  <h1 tabindex="-1" lang=${asset.language}>${asset.title}</h1>
  <p class="desk-state">
    ${statusBadge(asset.status)} <span>${t.types[asset.type]}</span>
    <span class="quiet">${t.version(asset.version)} · ${t.changed(ago(asset.updated_at))}</span>
  </p>
`;

const WHAT_IS_PUBLIC = {
  draft: () => t.isDraft,
  scheduled: ({ publish_at: at }) =>
    html`${t.isScheduled(ago(at))}<br /><strong>${bothZones(at)}</strong>`,
  published: ({ published_at: at, slug }) =>
    html`${t.isPublished(moment(at))} <a href="/assets/${slug}">${t.openPublic}</a>`,
  withdrawn: ({ withdrawn_at: at, withdrawal_reason: reason }) =>
    html`${t.isWithdrawn(moment(at))}<br /><strong>${reason}</strong>`,
};

const endOfRights = ({ status, available_until: end }) =>
  end && status !== "withdrawn" ? html`<p class="quiet">${t.until(bothZones(end))}</p>` : nothing;

/** `actions` are those of parts/desk-actions.js. */
export const lifeCard = (desk, { problem, actions }) => html`
  <section class="panel life" aria-labelledby="life-title">
    <h2 id="life-title" tabindex="-1">${t.visibility}</h2>
    <p>${WHAT_IS_PUBLIC[desk.asset.status](desk.asset)}</p>
    ${endOfRights(desk.asset)} ${refusal(problem)}
    <div class="life-actions">${buttons(desk.asset.status, actions)}</div>
  </section>
`;

const button = (label, onClick, style) =>
  html`<button type="button" class="button ${style}" @click=${onClick}>${label}</button>`;
const link = (label, onClick) =>
  html`<button type="button" class="plain link" @click=${onClick}>${label}</button>`;

function buttons(status, actions) {
  return {
    draft: [
      button(t.publish, actions.publish, ""),
      button(t.seePreview, actions.preview, "secondary"),
      link(t.deleteDraft, actions.remove),
    ],
    scheduled: [
      button(t.changeSchedule, actions.publish, ""),
      button(t.seePreview, actions.preview, "secondary"),
      link(t.unschedule, actions.unschedule),
      link(t.deleteDraft, actions.remove),
    ],
    published: [
      button(t.seePreview, actions.preview, "secondary"),
      button(t.withdraw, actions.withdraw, "danger"),
    ],
    withdrawn: [],
  }[status];
}

/** Always in sight: whether everything is saved, and what is not. */
export const saveBar = (editing) => {
  const changed = editing.changed();
  const isPublic = editing.asset.status === "published";
  return html`
    <div class="save-bar ${changed.length ? "is-unsaved" : ""}">
      ${refusalSummary(editing.form)}
      <div class="save-row">
        <p role="status">${changed.length ? t.notSaved(changed.map((name) => labels[name])) : t.allSaved}</p>
        ${isPublic && changed.length ? correctionNote(editing) : nothing}
        <div class="save-actions">
          ${changed.length ? link(t.discard, () => confirm(t.discardSure) && editing.discard()) : nothing}
          <button
            class="button"
            form="words"
            ?disabled=${!changed.length}
            aria-disabled=${editing.form.isBusy}
            aria-keyshortcuts="Control+S">
            <span class="spinner" ?hidden=${!editing.form.isBusy}></span
            >${isPublic ? t.saveCorrection : t.save}
          </button>
        </div>
      </div>
    </div>
  `;
};

const correctionNote = (editing) => html`
  <div class="field correction">
    <label for="note">${t.correctionNote} <small>${t.correctionNoteWho}</small></label>
    <input
      id="note"
      maxlength="1000"
      autocomplete="off"
      .value=${editing.note}
      @input=${({ target }) => {
        editing.note = target.value;
      }} />
  </div>
`;

/** The error as a whole, and what it is about: each leads to its field. */
const refusalSummary = (form) => html`
  <div class="refusal" role="alert" tabindex="-1" ?hidden=${!form.error}>
    ${form.error}
    ${
      form.refused.size
        ? html`<ul>
            ${[...form.refused].map(
              ([path, said]) =>
                html`<li>
                  <button type="button" class="plain link" @click=${() => toField(path)}>
                    ${labels[path.split("/")[0]] ?? path}</button
                  >${colon} ${said.join(" ")}
                </li>`,
            )}
          </ul>`
        : nothing
    }
  </div>
`;

function toField(path) {
  const names = path.split("/");
  const found = names
    .map((_, index) => document.getElementById(names.slice(0, names.length - index).join("/")))
    .find(Boolean);
  const control = found?.matches("input, select, textarea")
    ? found
    : found?.querySelector("h2, input, select, textarea");
  control?.focus();
}
