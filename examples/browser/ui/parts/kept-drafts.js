// What the server does not have yet, kept on this device. Where it can't be, its editor hears so once.
import { html, nothing } from "../html.js";
import { kept } from "../kept.js";
import { say } from "../layout.js";
import { currentAccount } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("desk");
// Accounts.
let toldTo = null;
let noteFor = null;

export function keep(name, draft) {
  const editor = currentAccount()?.id;
  if (kept.set(name, JSON.stringify(draft)) || toldTo === editor) return;
  toldTo = noteFor = editor;
  say(t.notKept);
}

export function unkeptNote(update) {
  const close = () => {
    noteFor = null;
    update();
  };
  return noteFor !== null && noteFor === currentAccount()?.id
    ? html`
        <div class="notice">
          <p>${t.notKept}</p>
          <button type="button" class="plain link" @click=${close}>${t.closeNote}</button>
        </div>
      `
    : nothing;
}
