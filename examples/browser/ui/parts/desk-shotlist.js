// The shotlist as a table, one shot a row, with times taken from the player.
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";
import { icon } from "./icons.js";
import { optionsOf, refusedRow } from "./desk-inputs.js";
import { frameRate, timecode } from "./desk-shots.js";

const t = await texts("desk-form");

/** `playerTime()` gives milliseconds, or null where there is no player. */
export const shotlistSection = (editing, playerTime) => html`
  <section id="shotlist" aria-labelledby="shotlist-title">
    <h2 id="shotlist-title" tabindex="-1">${t.fields.shotlist}</h2>
    <p class="quiet">${t.shotlistHint}</p>
    ${
      editing.mine.shotlist.length
        ? html` <div class="table-scroll">
            <table class="shot-table">
              <thead>
                <tr>
                  <th scope="col">${t.shotIn}</th>
                  <th scope="col">${t.shotOut}</th>
                  <th scope="col">${t.shotKind}</th>
                  <th scope="col">${t.shotText}</th>
                  <th scope="col">${t.speaker}</th>
                  <th scope="col"><span class="unseen">${t.shotActions}</span></th>
                </tr>
              </thead>
              <tbody>
                ${editing.mine.shotlist.map((shot, index) => shotRow(editing, shot, index, playerTime))}
              </tbody>
            </table>
          </div>`
        : nothing
    }
    <button type="button" class="plain link" @click=${() => addShot(editing, playerTime)}>
      ${icon.plus} ${t.addShot}
    </button>
  </section>
`;

const shotRow = (editing, shot, index, playerTime) => html`
  <tr>
    <td data-label=${t.shotIn}>${time(editing, shot, index, "in", playerTime)}</td>
    <td data-label=${t.shotOut}>${time(editing, shot, index, "out", playerTime)}</td>
    <td data-label=${t.shotKind}>
      <select
        id="shotlist/${index}/kind"
        aria-label="${t.shotKind}, ${t.shot(index + 1)}"
        .value=${shot.kind}
        @change=${({ target }) => editing.set(`shotlist/${index}/kind`, target.value)}>
        ${optionsOf(Object.entries(t.shotKinds), shot.kind)}
      </select>
    </td>
    <td class="shot-words" data-label=${t.shotText}>${text(editing, index, "text", shot.text, t.shotText)}</td>
    <td class="shot-speaker" data-label=${t.speaker}>
      ${text(editing, index, "speaker", shot.speaker, t.speaker)}
    </td>
    <td class="shot-actions">
      <button
        type="button"
        class="plain icon-button"
        aria-label=${t.moveUp(index + 1)}
        ?disabled=${index === 0}
        @click=${() => move(editing, index)}>
        ${icon.up}
      </button>
      <button
        type="button"
        class="plain icon-button"
        aria-label=${t.removeRow(t.fields.shotlist, index + 1)}
        @click=${() => removeShot(editing, index)}>
        ${icon.cross}
      </button>
    </td>
  </tr>
  ${
    editing.form.refused.has(`shotlist/${index}`)
      ? html`<tr>
          <td colspan="6">${refusedRow(editing, `shotlist/${index}`)}</td>
        </tr>`
      : nothing
  }
`;

const NAMES = { in: ["timecode_in", "start_ms"], out: ["timecode_out", "end_ms"] };

function time(editing, shot, index, side, playerTime) {
  const [name, ms] = NAMES[side];
  const path = `shotlist/${index}/${name}`;
  const label = side === "in" ? t.shotIn : t.shotOut;
  // What is typed counts; the milliseconds that it had before don't.
  const set = (changed) => editing.set(`shotlist/${index}`, { ...shot, ...changed });
  const take = () => {
    const now = playerTime();
    if (now === null) return say(t.noPlayer);
    return set({ [name]: timecode(now, frameRate(editing.asset)), [ms]: now });
  };
  return html`
    <div class="shot-clock">
      <input
        id=${path}
        .value=${shot[name] ?? ""}
        placeholder="00:00:00:00"
        autocomplete="off"
        inputmode="numeric"
        aria-label="${label}, ${t.shot(index + 1)}"
        aria-invalid=${editing.form.refused.has(path) ? "true" : nothing}
        aria-describedby="${path}-refused"
        @input=${({ target }) => set({ [name]: target.value, [ms]: null })} />
      <button
        type="button"
        class="plain icon-button"
        title=${t.takeTime}
        aria-label="${t.takeTime}: ${label}, ${t.shot(index + 1)}"
        @click=${take}>
        ${icon.clock}
      </button>
    </div>
    <div id="${path}-refused">${refusedRow(editing, path)}</div>
  `;
}

const text = (editing, index, name, value, label) => {
  const path = `shotlist/${index}/${name}`;
  return html`
    <textarea
      id=${path}
      rows="2"
      lang=${editing.mine.language ?? nothing}
      .value=${value ?? ""}
      aria-label="${label}, ${t.shot(index + 1)}"
      aria-invalid=${editing.form.refused.has(path) ? "true" : nothing}
      aria-describedby="${path}-refused"
      @input=${({ target }) => editing.set(path, target.value)}></textarea>
    <div id="${path}-refused">${refusedRow(editing, path)}</div>
  `;
};

function addShot(editing, playerTime) {
  const shots = editing.mine.shotlist;
  const now = shots.length ? null : 0;
  const from = shots.at(-1)?.timecode_out ?? timecode(playerTime() ?? now ?? 0, frameRate(editing.asset));
  editing.set("shotlist", [
    ...shots,
    {
      number: null,
      kind: "shot",
      timecode_in: from,
      timecode_out: null,
      start_ms: null,
      end_ms: null,
      text: "",
      speaker: null,
    },
  ]);
  document.getElementById(`shotlist/${shots.length}/text`)?.focus();
}

function move(editing, index) {
  const shots = [...editing.mine.shotlist];
  [shots[index - 1], shots[index]] = [shots[index], shots[index - 1]];
  editing.set("shotlist", shots);
  say(t.moved(index));
}

function removeShot(editing, index) {
  editing.set("shotlist", editing.mine.shotlist.toSpliced(index, 1));
}
