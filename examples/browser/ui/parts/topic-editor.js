// The topics of the newsletter: their names, and which assets belong to them.
import { call } from "../api.js";
import { field } from "../forms.js";
import { languageName } from "../format.js";
import { html, nothing } from "../html.js";
import { createOnce } from "../once.js";
import { language, LANGUAGES, texts } from "../texts.js";
import { createDialog } from "./dialog.js";

const t = await texts("editions");

const LANGUAGE_CODES = Object.keys(LANGUAGES);
const nameOf = (topic) => topic.labels[language]?.name ?? Object.values(topic.labels)[0]?.name ?? topic.slug;

export async function createTopicEditor({ update, signal }) {
  const load = async () => (await call("/v1/newsletter/topics/all", { signal })).items;
  let items = await load();
  const once = createOnce();
  const dialog = createDialog(update, {
    draw: ({ topic }, form) => ({
      title: topic ? nameOf(topic) : t.newTopic,
      body: fields(form, topic),
      action: t.save,
    }),
    async send(values, { topic }) {
      const body = bodyOf(values, topic);
      if (topic) await call(`/v1/newsletter/topics/${topic.slug}`, { method: "PATCH", body });
      else await once({ ...body, slug: values.slug }, create(values.slug, body));
      items = await load().catch(() => items); // it is saved all the same
    },
  });
  const view = () => html`${section(items, (topic) => dialog.ask({ topic }))} ${dialog.view()}`;
  return { view };
}

const create = (slug, body) => (key) =>
  call("/v1/newsletter/topics", { body: { ...body, slug }, once: key });

const section = (items, open) => html`
  <section class="topic-editor" aria-labelledby="topics-heading">
    <h2 id="topics-heading">${t.topicsHeading}</h2>
    <p class="quiet">${t.topicsDetail}</p>
    <ul class="rows">${items.map((topic) => row(topic, () => open(topic)))}</ul>
    <button type="button" class="button secondary small" @click=${() => open(null)}>${t.newTopic}</button>
  </section>
`;

const row = (topic, open) => html`
  <li>
    <div>
      <strong>${nameOf(topic)}</strong>
      ${topic.retired_at ? html`<span class="badge">${t.retired}</span>` : nothing}
      <p class="quiet">${topic.terms.length ? topic.terms.join(", ") : t.everyAsset}</p>
    </div>
    <button type="button" class="button secondary small" aria-label="${t.change}: ${nameOf(topic)}"
      @click=${open}>${t.change}</button>
  </li>
`;

const fields = (form, topic) => html`
  ${topic ? nothing : field(form, "slug", t.slug, { hint: t.slugHint, maxlength: 60 })}
  ${LANGUAGE_CODES.map((each) => field(form, `labels/${each}/name`, t.nameIn(languageName(each)), {
    value: topic?.labels[each]?.name ?? "", maxlength: 100, optional: each !== LANGUAGE_CODES[0],
  }))}
  ${field(form, "terms", t.terms, {
    value: topic?.terms.join(", ") ?? "", hint: t.termsHint, optional: true,
  })}
  ${topic ? html`
    <label class="option">
      <input type="checkbox" name="retired" ?checked=${Boolean(topic.retired_at)}>
      <span>${t.retire}<small>${t.retireHint}</small></span>
    </label>
  ` : nothing}
`;

/** A merge patch, so that descriptions stay; a language without a name is taken away. */
function bodyOf(values, topic) {
  const named = LANGUAGE_CODES.map((each) => [each, values[`labels/${each}/name`].trim()]);
  const kept = named.filter(([each, name]) => name || topic?.labels[each]);
  const labels = Object.fromEntries(kept.map(([each, name]) => [each, name ? { name } : null]));
  const terms = values.terms.split(",").map((each) => each.trim()).filter(Boolean);
  return { labels, terms, ...(topic && { retired: values.retired === "on" }) };
}
