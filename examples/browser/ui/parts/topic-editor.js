// The topics of the newsletter: their names, and which assets belong to them.
import { call } from "../api.js";
import { createForm, field, refusal, submitButton } from "../forms.js";
import { languageName } from "../format.js";
import { html, nothing, ref, repeat } from "../html.js";
import { language, LANGUAGES, texts } from "../texts.js";

const t = await texts("editions");

const LANGUAGE_CODES = Object.keys(LANGUAGES);
const nameOf = (topic) => topic.labels[language]?.name ?? Object.values(topic.labels)[0]?.name ?? topic.slug;

export async function createTopicEditor({ update, signal }) {
  const load = async () => (await call("/v1/newsletter/topics/all", { signal })).items;
  let items = await load();
  let edited = null;
  let dialog;
  // Of one opening of the dialog, whose fields begin anew with it.
  let once = crypto.randomUUID();

  const form = createForm(update, async (values) => {
    const body = bodyOf(values, edited);
    if (edited) await call(`/v1/newsletter/topics/${edited.slug}`, { method: "PATCH", body });
    else await call("/v1/newsletter/topics", { body: { ...body, slug: values.slug }, once });
    items = await load();
    dialog.close();
  });

  function open(topic) {
    edited = topic;
    once = crypto.randomUUID();
    Object.assign(form, { error: null, refused: new Map() });
    update();
    dialog.showModal();
  }

  const view = () => html`
    <section class="topic-editor" aria-labelledby="topics-heading">
      <h2 id="topics-heading">${t.topicsHeading}</h2>
      <p class="quiet">${t.topicsDetail}</p>
      <ul class="rows">${items.map((topic) => html`
        <li>
          <div><strong>${nameOf(topic)}</strong>${topic.retired_at ? html` <span class="badge">${t.retired}</span>` : nothing}
            <p class="quiet">${topic.terms.length ? topic.terms.join(", ") : t.everyAsset}</p></div>
          <button type="button" class="button secondary small" aria-label="${t.change}: ${nameOf(topic)}" @click=${() => open(topic)}>${t.change}</button>
        </li>
      `)}</ul>
      <button type="button" class="button secondary small" @click=${() => open(null)}>${t.newTopic}</button>
      <dialog aria-labelledby="topic-heading" ${ref((element) => { dialog = element; })}>
        <form novalidate @submit=${form.submit}>
          <h2 id="topic-heading">${edited ? nameOf(edited) : t.newTopic}</h2>
          ${refusal(form)}
          ${repeat([once], (each) => each, () => fields(form, edited))}
          <div class="actions">
            ${submitButton(form, t.save)}
            <button type="button" class="button secondary" @click=${() => dialog.close()}>${t.notNow}</button>
          </div>
        </form>
      </dialog>
    </section>
  `;
  return { view };
}

const fields = (form, topic) => html`
  ${topic ? nothing : field(form, "slug", t.slug, { hint: t.slugHint, maxlength: 60 })}
  ${LANGUAGE_CODES.map((each) => field(form, `labels/${each}/name`, t.nameIn(languageName(each)), {
    value: topic?.labels[each]?.name ?? "", maxlength: 100, optional: each !== LANGUAGE_CODES[0],
  }))}
  ${field(form, "terms", t.terms, { value: topic?.terms.join(", ") ?? "", hint: t.termsHint, optional: true })}
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
