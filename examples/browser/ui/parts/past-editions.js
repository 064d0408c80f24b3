// The archive: what was sent, newest first.
import { call } from "../api.js";
import { apiUrl } from "../config.js";
import { day } from "../format.js";
import { createForm, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { language, texts } from "../texts.js";

const t = await texts("newsletter");
const AT_ONCE = 10;
const FEED = apiUrl("/v1/newsletter/archive.atom");

export const readArchive = (signal, cursor) => {
  const query = new URLSearchParams({ language, limit: AT_ONCE, ...(cursor && { cursor }) });
  return call(`/v1/newsletter/archive?${query}`, { signed: false, signal });
};

/** The list, which begins with `page` and grows as far as one asks. */
export function createPastEditions(update, page, signal) {
  let { items, next_cursor: cursor } = page;
  const more = createForm(update, async () => {
    const next = await readArchive(signal, cursor);
    items = [...items, ...next.items];
    cursor = next.next_cursor;
  });
  return () => html`
    <section aria-labelledby="archive">
      <h2 id="archive">${t.archive}</h2>
      ${items.length ? list(items) : html`<p>${t.noEditions}</p>`}
      ${cursor ? moreForm(more) : nothing}
      ${items.length ? html`<p class="quiet">${t.feed} <a href=${FEED}>Atom</a></p>` : nothing}
    </section>
  `;
}

const list = (items) => html`<ul class="rows editions">${items.map(edition)}</ul>`;

const moreForm = (form) => html`
  <form @submit=${form.submit}>${refusal(form)} ${submitButton(form, t.earlier, "secondary")}</form>
`;

const edition = ({ number, subject, preheader, language: written, published_at: sent }) => html`
  <li>
    <div lang=${written}>
      <a href="/newsletter/archive/${number}">${subject}</a>
      ${preheader ? html`<p class="quiet">${preheader}</p>` : nothing}
    </div>
    <time class="quiet" datetime=${sent}>${day(sent)}</time>
  </li>
`;
