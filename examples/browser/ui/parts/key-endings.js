// What ends a secret: a new one, with an overlap in which both work, or the end of the key.
import { call } from "../api.js";
import { createForm, fieldRow, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { texts } from "../texts.js";
import { createDialog } from "./dialog.js";

const t = await texts("keys");
// Seconds: at once, an hour, a day, a week.
const OVERLAPS = [0, 3600, 86_400, 604_800];
const FIRST_OVERLAP = 86_400;

/** `ask(key)` gives the key with its new secret, or null. */
export function createRotation(update, proven) {
  let form;
  const dialog = createDialog(update, (key, heading) => rotationForm(form, key, heading, () => dialog.close()));
  const ask = async (key) => {
    let rotating = Promise.resolve(null);
    const once = crypto.randomUUID();
    form = createForm(update, async ({ overlap }) => {
      const body = { overlap_seconds: Number(overlap) };
      const request = { body, once: `${once}-${overlap}` };
      rotating = proven(() => call(`/v1/api-keys/${key.id}/rotate`, request));
      if (await rotating) dialog.close();
    });
    await dialog.ask(key);
    return rotating.catch(() => null); // also for who turns away meanwhile: it is shown once
  };
  return { ask, view: dialog.view };
}

/** `ask(key)` revokes it, and says whether it did. */
export function createRevocation(update) {
  let form;
  const dialog = createDialog(update, (key, heading) => revocationForm(form, key, heading, () => dialog.close()));
  const ask = (key) => {
    form = createForm(update, async () => {
      await call(`/v1/api-keys/${key.id}`, { method: "DELETE" });
      dialog.close(true);
    });
    return dialog.ask(key);
  };
  return { ask, view: dialog.view };
}

const rotationForm = (form, { name }, heading, cancel) => html`
  <form novalidate @submit=${form.submit}>
    <h2 id=${heading}>${t.rotateKey(name)}</h2>
    <p>${t.rotateDetail}</p>
    ${refusal(form)}
    ${fieldRow(form, "overlap", t.overlap, {}, () => html`
      <select id="overlap" name="overlap">
        ${OVERLAPS.map((each) => html`
          <option value=${each} ?selected=${each === FIRST_OVERLAP}>${t.overlaps[each]}</option>
        `)}
      </select>
    `)}
    <div class="actions">
      ${submitButton(form, t.rotate)}
      <button type="button" class="button secondary" @click=${cancel}>${t.cancel}</button>
    </div>
  </form>
`;

const revocationForm = (form, { name }, heading, cancel) => html`
  <form novalidate @submit=${form.submit}>
    <h2 id=${heading}>${t.revokeKey(name)}</h2>
    <p>${t.revokeDetail}</p>
    ${refusal(form)}
    <div class="actions">
      <button type="button" class="button secondary" @click=${cancel}>${t.cancel}</button>
      ${submitButton(form, t.revoke, "danger")}
    </div>
  </form>
`;
