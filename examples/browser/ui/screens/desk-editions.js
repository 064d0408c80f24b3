// All editions of the newsletter, by state, and where a new one begins.
import { call } from "../api.js";
import { createForm, field, refusal, submitButton } from "../forms.js";
import { ago, count, moment } from "../format.js";
import { html, nothing } from "../html.js";
import { createOnce } from "../once.js";
import { go } from "../router.js";
import { language, texts } from "../texts.js";
import { createDialog } from "../parts/dialog.js";
import { stateBadge } from "../parts/edition-head.js";
import { icon } from "../parts/icons.js";
import { createTopicEditor } from "../parts/topic-editor.js";

const t = await texts("editions");

const STATES = ["draft", "scheduled", "sending", "paused", "sent", "cancelled"];

export default async function deskEditions({ query, signal, update }) {
  const state = STATES.includes(query.get("state")) ? query.get("state") : "";
  const load = (cursor) => {
    const wanted = Object.entries({ limit: 30, state, cursor }).filter(([, value]) => value);
    return call(`/v1/newsletter/editions?${new URLSearchParams(wanted)}`, { signal });
  };
  const [page, topics] = await Promise.all([load(), createTopicEditor({ update, signal })]);
  const found = { items: page.items, next: page.next_cursor };
  const more = createForm(update, async () => {
    const next = await load(found.next);
    Object.assign(found, { items: [...found.items, ...next.items], next: next.next_cursor });
  });
  const beginning = createBeginning(update);

  const view = () => html`
    <div class="desk-head">
      <h1 tabindex="-1">${t.editions}</h1>
      <button type="button" class="button" @click=${beginning.open}>${icon.plus} ${t.newEdition}</button>
    </div>
    ${filters(state)}
    ${found.items.length ? html`<ul class="rows editions">${found.items.map(row)}</ul>` : nothingYet(state)}
    ${found.next ? moreForm(more) : nothing}
    ${topics.view()}
    ${beginning.view()}
  `;
  return { title: t.editions, view };
}

const moreForm = (more) => html`
  <form @submit=${more.submit}>
    ${refusal(more)}
    <div class="actions">${submitButton(more, t.more, "secondary small")}</div>
  </form>
`;

const filters = (chosen) => html`
  <nav class="tabs" aria-label=${t.byState}>
    ${["", ...STATES].map((each) => html`
      <a href=${each ? `/desk/editions?state=${each}` : "/desk/editions"}
        aria-current=${each === chosen ? "page" : nothing}>
        ${each ? t.states[each] : t.all}
      </a>
    `)}
  </nav>
`;

const row = (edition) => html`
  <li>
    <div class="edition-row">
      <a href="/desk/editions/${edition.id}">${edition.name}</a>
      <p class="quiet">
        <span class="number">${t.number(edition.number)}</span>
        ${edition.kind === "digest" ? html` · ${t.digest}` : nothing}
        ${edition.subject ? html` · <span lang=${edition.language}>${edition.subject}</span>` : nothing}
      </p>
    </div>
    <p class="edition-when">${stateBadge(edition.state)} <small>${whenOf(edition)}</small></p>
  </li>
`;

function whenOf(edition) {
  switch (edition.state) {
    case "scheduled": return t.leavesAt(moment(edition.send_at));
    case "sent": return `${moment(edition.finished_at)} · ${t.toRecipients(edition.recipients, count)}`;
    case "draft": return t.changed(ago(edition.updated_at));
    default: return t.toRecipients(edition.recipients, count);
  }
}

const nothingYet = (state) => html`
  <p class="empty-state">${state ? t.noneInState : t.noneYet}</p>
`;

/** A new edition needs a name among editors, and nothing else. */
function createBeginning(update) {
  const once = createOnce();
  const draw = (_, form) => ({
    title: t.newEdition,
    body: field(form, "name", t.name, { hint: t.nameHint, maxlength: 200 }),
    action: t.begin,
  });
  const create = (body) => (key) => call("/v1/newsletter/editions", { body, once: key });
  const dialog = createDialog(update, {
    draw,
    async send({ name }) {
      const body = { name, language };
      const edition = await once(body, create(body));
      go(`/desk/editions/${edition.id}`);
    },
  });
  return { view: dialog.view, open: () => dialog.ask() };
}
