// Controls of the editing form. Each belongs to a path in its values ("location/city"), under which
// the API names what it refuses, too.
import { localTime } from "../format.js";
import { fieldRow } from "../forms.js";
import { html, nothing, repeat } from "../html.js";
import { icon } from "./icons.js";
import { texts } from "../texts.js";

const t = await texts("desk-form");

const valueAt = (values, path) => path.split("/").reduce((value, name) => value?.[name], values);

/** One line, or with `rows` several. */
export function textField(
  editing,
  path,
  label,
  { hint, rows, type = "text", lang, inputmode, maxlength } = {},
) {
  const value = valueAt(editing.mine, path) ?? "";
  const change = ({ target }) => editing.set(path, target.value);
  return fieldRow(editing.form, path, label, { hint }, (described, isInvalid) =>
    rows
      ? html`<textarea
          id=${path}
          rows=${rows}
          lang=${lang || nothing}
          .value=${value}
          aria-describedby=${described}
          aria-invalid=${isInvalid}
          @input=${change}></textarea>`
      : html`<input
          id=${path}
          type=${type}
          lang=${lang || nothing}
          .value=${value}
          inputmode=${inputmode ?? nothing}
          autocomplete="off"
          maxlength=${maxlength ?? nothing}
          aria-describedby=${described}
          aria-invalid=${isInvalid}
          @input=${change} />`,
  );
}

export function numberField(editing, path, label, { hint, step = "any" } = {}) {
  const value = valueAt(editing.mine, path) ?? "";
  const change = ({ target }) => editing.set(path, target.value === "" ? null : target.valueAsNumber);
  return fieldRow(
    editing.form,
    path,
    label,
    { hint },
    (described, isInvalid) => html`
      <input
        id=${path}
        type="number"
        step=${step}
        inputmode="decimal"
        .value=${String(value)}
        aria-describedby=${described}
        aria-invalid=${isInvalid}
        @input=${change} />
    `,
  );
}

/** `options` are pairs of a value, a text or a number, and its name; "" is none. */
export function selectField(editing, path, label, options, { hint } = {}) {
  const value = valueAt(editing.mine, path) ?? "";
  const known = options.some(([each]) => each === value) ? options : [[value, value], ...options];
  const change = ({ target }) => editing.set(path, known[target.selectedIndex][0] || null);
  return fieldRow(
    editing.form,
    path,
    label,
    { hint },
    (described, isInvalid) => html`
      <select
        id=${path}
        .value=${value}
        aria-describedby=${described}
        aria-invalid=${isInvalid}
        @change=${change}>
        ${optionsOf(known, value)}
      </select>
    `,
  );
}

/** The options of a `select`, of pairs of a value and its name. */
export const optionsOf = (pairs, chosen) =>
  pairs.map(([value, name]) => html`<option value=${value} ?selected=${value === chosen}>${name}</option>`);

/** A moment, typed in the reader's own zone; the API gets it in UTC. */
export function momentField(editing, path, label, { hint } = {}) {
  const value = valueAt(editing.mine, path);
  const change = ({ target }) =>
    editing.set(path, target.value ? new Date(target.value).toISOString() : null);
  return fieldRow(
    editing.form,
    path,
    label,
    { hint: hint(value) },
    (described, isInvalid) => html`
      <input
        id=${path}
        type="datetime-local"
        .value=${value ? localTime(value) : ""}
        aria-describedby=${described}
        aria-invalid=${isInvalid}
        @change=${change} />
    `,
  );
}

/**
 * A list of small records, such as people: `columns` are `{ name, label, options?, type?, wide? }`, `fresh`
 * is what a new one begins with.
 */
export function rowsField(editing, name, { legend, add, columns, fresh = {}, hint }) {
  const rows = editing.mine[name];
  const remove = (index) => editing.set(name, rows.toSpliced(index, 1));
  return html`
    <fieldset class="field record-list" id=${name}>
      <legend>${legend}</legend>
      ${hint ? html`<p class="hint">${hint}</p>` : nothing}
      ${rows.map(
        (row, index) => html`
          <div class="record" role="group" aria-label="${legend} ${index + 1}">
            ${columns.map((column) => cell(editing, `${name}/${index}`, column))}
            <button
              type="button"
              class="plain icon-button"
              aria-label=${t.removeRow(legend, index + 1)}
              @click=${() => remove(index)}>
              ${icon.cross}
            </button>
          </div>
          ${refusedRow(editing, `${name}/${index}`)}
        `,
      )}
      <button type="button" class="plain link" @click=${(event) => addRow(event, editing, name, fresh)}>
        ${icon.plus} ${add}
      </button>
    </fieldset>
  `;
}

function addRow({ target }, editing, name, fresh) {
  editing.set(name, [...editing.mine[name], { ...fresh }]);
  target.closest("fieldset").querySelector(".record:last-of-type :is(input, select)")?.focus();
}

function cell(editing, row, { name, label, options, type, wide }) {
  const path = `${row}/${name}`;
  const field = options
    ? selectField(editing, path, label, options)
    : textField(editing, path, label, { type });
  return html`<div class="cell ${wide ? "is-wide" : ""}">${field}</div>`;
}

export function refusedRow(editing, path) {
  const refused = editing.form.refused.get(path);
  return refused ? html`<p class="refused">${refused.join(" ")}</p>` : nothing;
}

/** What was chosen from a list or typed; each can be taken out again. */
export const chips = (items, { nameOf, keyOf = nameOf, onRemove }) => html`
  <ul class="tags" ?hidden=${!items.length}>
    ${repeat(
      items,
      keyOf,
      (item, index) => html`
        <li class="tag">
          <span>${nameOf(item)}</span>
          <button
            type="button"
            class="plain"
            aria-label=${t.removeOne(nameOf(item))}
            @click=${() => onRemove(index)}>
            ${icon.cross}
          </button>
        </li>
      `,
    )}
  </ul>
`;
