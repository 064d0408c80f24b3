// Who one is: name, organisation, country, language; the address; and all that is held about one.
import { call, respond } from "../api.js";
import { createForm, explain, fieldRow, refusal, submitButton } from "../forms.js";
import { html } from "../html.js";
import { accountSections } from "../parts/account-sections.js";
import { emailChange } from "../parts/email-change.js";
import { personFields } from "../parts/person-fields.js";
import { saveAs } from "../save.js";
import { currentAccount, updateAccount } from "../session.js";
import { LANGUAGES, texts } from "../texts.js";

const t = await texts("account");

export default async function profile({ update, signal }) {
  const address = emailChange({ update, signal });
  const details = aboutYou(update);
  const held = heldData(update);
  const view = () => accountSections("profile", html`
    <h1 tabindex="-1">${t.profile}</h1>
    ${details.view()}
    ${address()}
    ${held()}
    <h2>${t.deleteTitle}</h2>
    <p>${t.deleteShort}</p>
    <p><a href="/account/delete">${t.deleteLink}</a></p>
  `);
  return { title: t.profile, view, isUnsaved: () => details.isUnsaved, unsavedText: t.unsaved };
}

function aboutYou(update) {
  const details = { isUnsaved: false, isSaved: false };
  const form = createForm(update, async (values) => {
    const given = Object.entries(values).map(([name, value]) => [name, value.trim() || null]);
    updateAccount(await call("/v1/account", { method: "PATCH", body: Object.fromEntries(given) }));
    Object.assign(details, { isUnsaved: false, isSaved: true });
  });
  const touch = () => Object.assign(details, { isUnsaved: true, isSaved: false }) && update();

  details.view = () => html`
    <form novalidate aria-label=${t.profile} @submit=${form.submit} @input=${touch}>
      ${refusal(form)}
      ${personFields(form, currentAccount())}
      ${languageField(form, currentAccount().locale)}
      <div class="actions">
        ${submitButton(form, t.save)}
        <span class="saved" role="status">${details.isSaved ? t.saved : ""}</span>
      </div>
    </form>
  `;
  return details;
}

const languageField = (form, chosen) =>
  fieldRow(form, "locale", t.mailLanguage, { hint: t.mailLanguageHint }, (described, isInvalid) => html`
    <select id="locale" name="locale" aria-describedby=${described} aria-invalid=${isInvalid}>
      ${Object.entries(LANGUAGES).map(([code, name]) => html`
        <option value=${code} lang=${code} ?selected=${chosen.split("-")[0] === code}>${name}</option>
      `)}
    </select>
  `);

function heldData(update) {
  const file = { isBusy: false, said: null };
  async function download() {
    if (file.isBusy) return;
    Object.assign(file, { isBusy: true, said: null });
    update();
    try {
      saveAs(await (await respond("/v1/account/export")).blob(), t.exportFile);
      file.said = t.exported;
    } catch (error) {
      file.said = explain(error);
    }
    file.isBusy = false;
    update();
  }
  return () => html`
    <h2>${t.heldData}</h2>
    <p>${t.heldDataDetail}</p>
    <button type="button" class="button secondary" aria-disabled=${file.isBusy} @click=${download}>
      ${t.downloadHeld}
    </button>
    <p class="said" role="status">${file.said}</p>
  `;
}
