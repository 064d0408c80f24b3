// An input that suggests while one types, and keeps what was chosen as chips above it (ARIA combobox).
import { fieldRow } from "../forms.js";
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";
import { chips } from "./desk-inputs.js";

const t = await texts("desk-form");
// Milliseconds of a pause in typing, and suggestions at once.
const PAUSE = 200;
const MOST = 8;

/**
 * `find(text)` gives suggestions, `nameOf(item)` their names; `fromText(text)` makes an item of what was
 * typed and is not among them, or null. A chooser keeps its own state: make it once per screen.
 */
export function createChooser(editing, path, options) {
  const chooser = {
    editing,
    path,
    keyOf: options.nameOf,
    fromText: () => null,
    ...options,
    text: "",
    options: [],
    active: -1,
    timer: null,
    isOpen: false,
  };
  return (label, { hint } = {}) =>
    fieldRow(editing.form, path, label, { hint }, (described, isInvalid) => [
      chosen(chooser),
      combobox(chooser, label, { described, isInvalid }),
    ]);
}

// What it does

const itemsOf = ({ editing, path }) => editing.mine[path];

/** What was typed, as an item. */
const typed = ({ text, fromText }) => text.trim() && fromText(text.trim());

function add(chooser, item) {
  const { editing, path, keyOf, nameOf } = chooser;
  const items = itemsOf(chooser);
  Object.assign(chooser, { text: "", options: [], active: -1, isOpen: false });
  if (items.some((each) => keyOf(each) === keyOf(item))) return chooser.update();
  say(t.added(nameOf(item)));
  return editing.set(path, [...items, item]);
}

function type(chooser, text) {
  clearTimeout(chooser.timer);
  Object.assign(chooser, { text, active: -1 });
  const completed = text.endsWith(",") && chooser.fromText(text.slice(0, -1).trim());
  if (completed) return add(chooser, completed);
  chooser.timer = setTimeout(() => suggest(chooser, text), PAUSE);
  return chooser.update();
}

async function suggest(chooser, text) {
  const { find, keyOf } = chooser;
  const found = text.trim() ? await find(text.trim()).catch(() => []) : [];
  if (text !== chooser.text) return;
  const known = new Set(itemsOf(chooser).map(keyOf));
  const options = found.filter((each) => !known.has(keyOf(each))).slice(0, MOST);
  Object.assign(chooser, { options, isOpen: options.length > 0 });
  if (options.length) say(t.suggestions(options.length));
  chooser.update();
}

const KEYS = {
  ArrowDown: (chooser) => move(chooser, 1),
  ArrowUp: (chooser) => move(chooser, -1),
  Escape: close,
  Enter: take,
};

function press(chooser, event) {
  if (!Object.hasOwn(KEYS, event.key) || !(chooser.isOpen || event.key === "Enter")) return;
  KEYS[event.key](chooser);
  event.preventDefault();
  chooser.update();
}

/** From the input up to the last of them, down to the first, and around. */
function move(chooser, steps) {
  const { active, options } = chooser;
  const from = active < 0 && steps < 0 ? 0 : active;
  chooser.active = (from + steps + options.length) % options.length;
}

function close(chooser) {
  chooser.isOpen = false;
}

function take(chooser) {
  const item = chooser.options[chooser.active] ?? typed(chooser);
  if (item) add(chooser, item);
}

function leave(chooser) {
  close(chooser);
  const item = typed(chooser);
  if (item) add(chooser, item);
  else chooser.update();
}

// What it shows

function chosen(chooser) {
  const { editing, path, keyOf, nameOf } = chooser;
  const items = itemsOf(chooser);
  return chips(items, {
    nameOf,
    keyOf,
    onRemove: (index) => editing.set(path, items.toSpliced(index, 1)),
  });
}

const combobox = (chooser, label, { described, isInvalid }) => html`
  <div class="chooser">
    <input
      id=${chooser.path}
      role="combobox"
      aria-expanded=${chooser.isOpen}
      aria-controls="${chooser.path}-options"
      aria-autocomplete="list"
      autocomplete="off"
      aria-activedescendant=${chooser.active < 0 ? nothing : optionId(chooser, chooser.active)}
      aria-describedby=${described}
      aria-invalid=${isInvalid}
      .value=${chooser.text}
      @input=${({ target }) => type(chooser, target.value)}
      @keydown=${(event) => press(chooser, event)}
      @blur=${() => leave(chooser)} />
    <ul
      id="${chooser.path}-options"
      class="suggestions"
      role="listbox"
      aria-label=${label}
      ?hidden=${!chooser.isOpen}>
      ${chooser.options.map((item, index) => option(chooser, item, index))}
    </ul>
  </div>
`;

const optionId = ({ path }, index) => `${path}-option-${index}`;

function option(chooser, item, index) {
  const choose = (event) => {
    event.preventDefault(); // the focus stays in the input
    add(chooser, item);
  };
  return html`
    <li
      id=${optionId(chooser, index)}
      role="option"
      aria-selected=${index === chooser.active}
      @pointerdown=${choose}>
      ${chooser.nameOf(item)}
    </li>
  `;
}
