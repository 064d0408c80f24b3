// Text for a clipboard: to see whole, to select, and to copy with one press.
import { html } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("keys");

/** `name` says what it is; `id` is the page's own for it. */
export const copyLine = (id, name, text) => html`
  <div class="copy-line">
    <pre id=${id} tabindex="0" role="group" aria-label=${name}><code>${text}</code></pre>
    <button type="button" class="button secondary small" aria-describedby=${id} @click=${(event) => copy(event, text)}>${t.copy}</button>
    <span class="unseen" role="status"></span>
  </div>
`;

async function copy({ currentTarget: button }, text) {
  const isCopied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  if (!isCopied) getSelection().selectAllChildren(button.previousElementSibling);
  button.nextElementSibling.textContent = isCopied ? t.copied : t.selected;
  button.classList.toggle("is-copied", isCopied);
}
