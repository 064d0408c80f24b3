// What the server does not have yet, kept on this device. Where it can't be, its editor hears so once.
import { html, nothing } from "../html.js";
import { kept } from "../kept.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";

const t = await texts("desk");
let wasTold = false;
let isNoteOpen = false;

export function keep(name, draft) {
  if (kept.set(name, JSON.stringify(draft)) || wasTold) return;
  wasTold = isNoteOpen = true;
  say(t.notKept);
}

/** Null if there is none. */
export const keptAs = (name) => JSON.parse(kept.get(name));

export const forget = kept.drop;

export function unkeptNote(update) {
  const close = () => {
    isNoteOpen = false;
    update();
  };
  return isNoteOpen
    ? html`
        <div class="notice">
          <p>${t.notKept}</p>
          <button type="button" class="plain link" @click=${close}>${t.closeNote}</button>
        </div>
      `
    : nothing;
}
