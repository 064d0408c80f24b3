// An input that suggests while one types, and keeps what was chosen as chips above it (ARIA combobox).
import { fieldRow } from "../forms.js";
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";
import { chips } from "./desk-inputs.js";

const t = await texts("desk-form");
const PAUSE = 200;

/**
 * `find(text)` gives suggestions, `nameOf(item)` their names; `fromText(text)` makes an item of what was
 * typed and is not among them, or null. A chooser keeps its own state: make it once per screen.
 */
export function createChooser(
  editing,
  path,
  { find, nameOf, keyOf = nameOf, fromText = () => null, update },
) {
  const state = { text: "", options: [], active: -1, timer: null, isOpen: false };
  const items = () => editing.mine[path];

  function add(item) {
    Object.assign(state, { text: "", options: [], active: -1, isOpen: false });
    if (items().some((each) => keyOf(each) === keyOf(item))) return update();
    say(t.added(nameOf(item)));
    return editing.set(path, [...items(), item]);
  }

  function type({ target }) {
    clearTimeout(state.timer);
    Object.assign(state, { text: target.value, active: -1 });
    const completed = target.value.endsWith(",") && fromText(target.value.slice(0, -1).trim());
    if (completed) return add(completed);
    state.timer = setTimeout(() => suggest(target.value), PAUSE);
    return update();
  }

  async function suggest(text) {
    const found = text.trim() ? await find(text.trim()).catch(() => []) : [];
    if (text !== state.text) return;
    const chosen = new Set(items().map(keyOf));
    const options = found.filter((each) => !chosen.has(keyOf(each))).slice(0, 8);
    Object.assign(state, { options, isOpen: options.length > 0 });
    if (options.length) say(t.suggestions(options.length));
    update();
  }

  function press(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps && state.isOpen) {
      const count = state.options.length;
      state.active =
        state.active < 0 && event.key === "ArrowUp"
          ? count - 1
          : (state.active + steps[event.key] + count) % count;
    } else if (event.key === "Escape" && state.isOpen) {
      state.isOpen = false;
    } else if (event.key === "Enter") {
      const item = state.options[state.active] ?? (state.text.trim() && fromText(state.text.trim()));
      if (item) add(item);
    } else {
      return;
    }
    event.preventDefault();
    update();
  }

  function leave() {
    state.isOpen = false;
    const item = state.text.trim() && fromText(state.text.trim());
    if (item) add(item);
    else update();
  }

  const option = (item, index) => html`
    <li
      id="${path}-option-${index}"
      role="option"
      aria-selected=${index === state.active}
      @pointerdown=${(event) => {
        event.preventDefault();
        add(item);
      }}>
      ${nameOf(item)}
    </li>
  `;

  const onRemove = (index) => editing.set(path, items().toSpliced(index, 1));

  return (label, { hint } = {}) =>
    fieldRow(
      editing.form,
      path,
      label,
      { hint },
      (described, isInvalid) => html`
        ${chips(items(), { nameOf, keyOf, onRemove })}
        <div class="chooser">
          <input
            id=${path}
            role="combobox"
            aria-expanded=${state.isOpen}
            aria-controls="${path}-options"
            aria-autocomplete="list"
            autocomplete="off"
            aria-activedescendant=${state.active < 0 ? nothing : `${path}-option-${state.active}`}
            aria-describedby=${described}
            aria-invalid=${isInvalid}
            .value=${state.text}
            @input=${type}
            @keydown=${press}
            @blur=${leave} />
          <ul
            id="${path}-options"
            class="suggestions"
            role="listbox"
            aria-label=${label}
            ?hidden=${!state.isOpen}>
            ${state.options.map(option)}
          </ul>
        </div>
      `,
    );
}
