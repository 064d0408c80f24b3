// A modal window that asks for one thing, in a form: `if (await dialog.ask(about)) …`.
import { createForm, refusal, submitButton } from "../forms.js";
import { html, nothing, ref } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("forms");
let count = 0;

/**
 * `draw(about, form)` gives `{ title, body, action, style }`, `action` being the words of its button.
 * `send(values, about, element)` does what is asked for; unless it gives null, the window closes then.
 * `ask(about)` opens it and gives what `send` gave or true, but null to whoever turns away. `form()` is
 * that of the question which is open.
 */
export function createDialog(update, { draw, send }) {
  const heading = `dialog-${++count}`;
  const asking = { element: null, about: null, form: null, answer: null, settle: null };
  const keep = (element) => Object.assign(asking, { element });
  const close = () => asking.element?.close();

  function ask(about = true) {
    // A form of its own: what comes late of an earlier one is not for whoever is asked now.
    const form = createForm(update, async (values, element) => {
      const answer = await send(values, about, element);
      if (answer === null || form !== asking.form) return;
      asking.answer = answer ?? true;
      close();
    });
    Object.assign(asking, { about, form, answer: null });
    update();
    asking.element.showModal();
    return new Promise((settle) => Object.assign(asking, { settle }));
  }

  function closed() {
    Object.assign(asking, { about: null, form: null });
    update();
    asking.settle(asking.answer);
  }

  const view = () => html`
    <dialog class="question" ${ref(keep)} aria-labelledby=${heading} @close=${closed}>
      ${asking.about ? question(draw(asking.about, asking.form), { ...asking, heading, close }) : nothing}
    </dialog>
  `;
  return { ask, view, form: () => asking.form };
}

const question = ({ title, body, action, style }, { form, heading, close }) => html`
  <form novalidate @submit=${form.submit}>
    <h2 id=${heading}>${title}</h2>
    ${refusal(form)} ${body}
    <div class="actions">
      ${action ? submitButton(form, action, style) : nothing}
      <button type="button" class="button secondary" @click=${close}>${t.cancel}</button>
    </div>
  </form>
`;
