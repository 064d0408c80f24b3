// What ends a secret: a new one, with an overlap in which both work, or the end of the key.
import { call } from "../api.js";
import { fieldRow } from "../forms.js";
import { html } from "../html.js";
import { texts } from "../texts.js";
import { createDialog } from "./dialog.js";

const t = await texts("keys");
// Seconds: at once, an hour, a day, a week.
const OVERLAPS = [0, 3600, 86_400, 604_800];
const FIRST_OVERLAP = 86_400;

/** `ask(key)` gives the key with its new secret, or null. */
export function createRotation(update, proven) {
  let once;
  let rotating;
  const send = ({ overlap }, key) => {
    const request = { body: { overlap_seconds: Number(overlap) }, once: `${once}-${overlap}` };
    rotating = proven(() => call(`/v1/api-keys/${key.id}/rotate`, request));
    return rotating;
  };
  const dialog = createDialog(update, { draw: drawRotation, send });
  const ask = async (key) => {
    [once, rotating] = [crypto.randomUUID(), Promise.resolve(null)];
    await dialog.ask(key);
    return rotating.catch(() => null); // also for who turns away meanwhile: it is shown once
  };
  return { ask, view: dialog.view };
}

/** `ask(key)` revokes it, and says whether it did. */
export function createRevocation(update) {
  const send = (_, key) => call(`/v1/api-keys/${key.id}`, { method: "DELETE" }).then(() => true);
  return createDialog(update, { draw: drawRevocation, send });
}

const drawRotation = ({ name }, form) => ({
  title: t.rotateKey(name),
  body: html`
    <p>${t.rotateDetail}</p>
    ${fieldRow(form, "overlap", t.overlap, {}, () => html`
      <select id="overlap" name="overlap">
        ${OVERLAPS.map((each) => html`
          <option value=${each} ?selected=${each === FIRST_OVERLAP}>${t.overlaps[each]}</option>
        `)}
      </select>
    `)}
  `,
  action: t.rotate,
});

const drawRevocation = ({ name }) => ({
  title: t.revokeKey(name),
  body: html`<p>${t.revokeDetail}</p>`,
  action: t.revoke,
  style: "danger",
});
