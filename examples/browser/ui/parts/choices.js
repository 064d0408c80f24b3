// What a subscriber chooses: topics, how often, and the language.
import { Problem } from "../api.js";
import { html, live, nothing } from "../html.js";
import { LANGUAGES, texts } from "../texts.js";

const t = await texts("newsletter");

/**
 * The fields of a form, which begin as `chosen` is. `offered` has the topics, frequencies and languages;
 * no topics stand for all of them, also those to come.
 */
export function createChoices(update, { offered, chosen }) {
  const draft = { ...chosen, hasAll: chosen.topics.length === 0, topics: new Set(chosen.topics) };

  function change({ target: { name, value, checked } }) {
    if (name === "topic") draft.topics[checked ? "add" : "delete"](value);
    else if (name === "all") draft.hasAll = checked;
    else draft[name] = value;
    update();
  }

  return {
    view: (form) => html`
      <div @change=${change}>
        ${topics(form, draft, offered.topics)} ${frequencies(draft, offered)} ${languages(draft, offered)}
      </div>
    `,
    /** As the API takes it. Single topics are wanted, and none is chosen: a `Problem`. */
    read() {
      if (!draft.hasAll && !draft.topics.size) throw noTopic();
      const { frequency, language } = draft;
      return { topics: draft.hasAll ? [] : [...draft.topics], frequency, language };
    },
  };
}

function noTopic() {
  const error = { pointer: "/topics", code: "no_topic", message: t.noTopic };
  return new Problem(422, { code: "no_topic", title: t.noTopic, errors: [error] });
}

// All topics and single ones exclude each other, and the form says so at once.
function topics(form, draft, offered) {
  const refused = form.refused.get("topics");
  return html`
    <fieldset class="field">
      <legend>${t.topics}</legend>
      <label class="option">
        <input type="checkbox" name="all" .checked=${live(draft.hasAll)}
          aria-invalid=${refused ? "true" : nothing} aria-describedby=${refused ? "topics-refused" : nothing}>
        <span>${t.allTopics}</span>
      </label>
      ${draft.hasAll ? nothing : html`<div class="nested">${offered.map((topic) => topicOption(topic, draft))}</div>`}
      ${refused ? html`<p class="refused" id="topics-refused">${refused.join(" ")}</p>` : nothing}
    </fieldset>
  `;
}

const topicOption = (topic, draft) => html`
  <label class="option">
    <input type="checkbox" name="topic" value=${topic.slug} .checked=${live(draft.topics.has(topic.slug))}>
    <span>${topic.name} <small>${topic.is_retired ? t.retired : topic.description}</small></span>
  </label>
`;

const frequencies = (draft, offered) => html`
  <fieldset class="field">
    <legend>${t.frequency}</legend>
    ${offered.frequencies.map((each) => html`
      <label class="option">
        <input type="radio" name="frequency" value=${each} .checked=${live(each === draft.frequency)}>
        <span>${t.frequencies[each]}</span>
      </label>
    `)}
  </fieldset>
`;

const languages = (draft, offered) => html`
  <div class="field">
    <label for="language">${t.language}</label>
    <select id="language" name="language">
      ${offered.languages.map((each) => html`
        <option value=${each} lang=${each} .selected=${live(each === draft.language)}>${LANGUAGES[each] ?? each}</option>
      `)}
    </select>
  </div>
`;
