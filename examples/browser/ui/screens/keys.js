// API keys: what an account lets its programs do.
import { call } from "../api.js";
import { apiUrl } from "../config.js";
import { html, nothing, repeat } from "../html.js";
import { accountSections } from "../parts/account-sections.js";
import { createPasswordQuestion } from "../parts/ask-password.js";
import { focusHeading } from "../parts/heading.js";
import { icon } from "../parts/icons.js";
import { keyCard } from "../parts/key-card.js";
import { createRevocation, createRotation } from "../parts/key-endings.js";
import { createKeyForm } from "../parts/key-form.js";
import { createUsage } from "../parts/key-usage.js";
import { newSecret } from "../parts/new-secret.js";
import { texts } from "../texts.js";

const t = await texts("keys");

export default async function keys({ signal, update }) {
  let all = await readKeys(signal);
  let made = null;
  const password = createPasswordQuestion(update);
  const [making, rotation] = [createKeyForm, createRotation].map((create) => create(update, password.proven));
  const revocation = createRevocation(update);
  const dialogs = [making, rotation, revocation, password];

  async function refresh() {
    // Where it can't be read, the list of before serves; a secret must be seen all the same.
    all = await readKeys(signal).catch(() => all);
    update();
  }
  async function show(secret) {
    made = secret ?? made;
    update();
    if (secret) document.getElementById("new-secret").focus();
    await refresh();
  }
  function putAway() {
    made = null;
    update();
    focusHeading();
  }
  const make = async () => show(await making.ask());
  const actions = {
    usage: createUsage(update, signal),
    rotate: async (key) => show(await rotation.ask(key)),
    async revoke(key) {
      if (!(await revocation.ask(key))) return;
      if (made?.id === key.id) made = null;
      await refresh();
    },
  };

  const view = () => accountSections("keys", html`
    <h1 tabindex="-1">${t.keys}</h1>
    <p class="lead">${t.lead} <a href=${apiUrl("/docs")}>${t.docs}</a></p>
    ${made ? newSecret(made, putAway) : nothing}
    ${all.length ? keyLists(all, made ? null : make, actions) : noKeys(make)}
    ${dialogs.map((dialog) => dialog.view())}
  `);
  return { title: t.keys, view, isUnsaved: () => made !== null, unsavedText: t.secretUnsaved };
}

/** Those that have ended too, which the API keeps: all pages of them. */
async function readKeys(signal) {
  const all = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await call(`/v1/api-keys?limit=100${cursor && `&cursor=${cursor}`}`, { signal });
    all.push(...page.items);
    cursor = page.next_cursor;
  }
  return all;
}

const keyLists = (all, make, actions) => {
  const live = all.filter(({ state }) => state === "active");
  const ended = all.filter(({ state }) => state !== "active");
  return html`
    ${make ? html`<button class="button" @click=${make}>${icon.plus} ${t.makeKey}</button>` : nothing}
    <h2>${t.liveKeys(live.length)}</h2>
    ${live.length ? list(live, actions) : html`<p>${t.noLiveKeys}</p>`}
    ${ended.length ? endedKeys(ended, actions) : nothing}
  `;
};

const endedKeys = (ended, actions) => html`
  <details class="ended"><summary>${t.endedKeys(ended.length)}</summary>${list(ended, actions)}</details>
`;

const list = (shown, actions) => html`
  <ul class="keys">${repeat(shown, ({ id }) => id, (key) => keyCard(key, actions))}</ul>
`;

const noKeys = (make) => html`
  <section class="panel" aria-labelledby="no-keys">
    <h2 id="no-keys">${t.noKeys}</h2>
    <p>${t.whatFor}</p>
    <ul>${t.uses.map((use) => html`<li>${use}</li>`)}</ul>
    <div class="actions"><button class="button" @click=${make}>${icon.plus} ${t.makeKey}</button></div>
  </section>
`;
