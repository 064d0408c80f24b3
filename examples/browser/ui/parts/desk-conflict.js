// Somebody else has saved the same asset meanwhile: both texts, side by side, and a choice for each.
import { moment } from "../format.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { told } from "./desk-history.js";

const t = await texts("desk");
const labels = (await texts("desk-form")).fields;

export function conflictPanel(editing) {
  const { conflicts, theirs } = editing;
  if (!conflicts.length) return nothing;
  return html`
    <section class="panel conflict" aria-labelledby="conflict-title">
      <h2 id="conflict-title" tabindex="-1">${t.conflictTitle}</h2>
      <p>${t.conflictWhat(theirs ? moment(theirs.at) : "", conflicts.length)}</p>
      ${conflicts.map((each) => choice(editing, each))}
      <p class="quiet">${t.conflictNext}</p>
    </section>
  `;
}

const choice = (editing, { name, mine, theirs, isTheirs }) => html`
  <fieldset class="field">
    <legend>${labels[name] ?? name}</legend>
    <div class="pair">
      ${side(editing, name, false, t.keepMine, mine, isTheirs === false)}
      ${side(editing, name, true, t.takeTheirs, theirs, isTheirs === true)}
    </div>
  </fieldset>
`;

const side = (editing, name, isTheirs, label, value, isChosen) => html`
  <label class="option side ${isChosen ? "is-chosen" : ""}">
    <input
      type="radio"
      name="conflict-${name}"
      .checked=${isChosen}
      @change=${() => editing.choose(name, isTheirs)} />
    <span><strong>${label}</strong><span class="side-text">${told(value)}</span></span>
  </label>
`;
