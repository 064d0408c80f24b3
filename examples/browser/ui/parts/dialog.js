// A modal window that asks for one thing: `if (await dialog.ask(about)) …`.
import { html, nothing, ref } from "../html.js";

let count = 0;

/**
 * `draw(about, heading)` gives its contents; the id `heading` belongs to their title. `ask(about)` opens it
 * and gives what `close(answer)` is called with, or null to whoever turns away.
 */
export function createDialog(update, draw) {
  const heading = `dialog-${++count}`;
  let element = null;
  let about = null;
  let answer = null;
  let settle = null;
  const keep = (shown) => {
    element = shown;
  };

  function closed() {
    about = null;
    update();
    settle(answer);
  }

  return {
    ask(asked = true) {
      [about, answer] = [asked, null];
      update();
      element.showModal();
      return new Promise((resolve) => {
        settle = resolve;
      });
    },
    close(given = null) {
      answer = given;
      element.close();
    },
    view: () => html`
      <dialog ${ref(keep)} aria-labelledby=${heading} @close=${closed}>${about ? draw(about, heading) : nothing}</dialog>
    `,
  };
}
