import { call } from "../api.js";
import { createForm, field, fieldRow, refusal, submitButton } from "../forms.js";
import { languageTitle, size } from "../format.js";
import { html, nothing } from "../html.js";
import { createOnce } from "../once.js";
import { go } from "../router.js";
import { language, texts } from "../texts.js";
import { dropZone, keepOthersOut } from "../parts/desk-drop-zone.js";
import { languageOptions } from "../parts/desk-names.js";
import { assetTypeOf, guessRendition, titleOf } from "../parts/desk-renditions.js";
import { enqueue } from "../parts/desk-uploads.js";
import { optionsOf } from "../parts/desk-inputs.js";
import { icon } from "../parts/icons.js";

const t = await texts("desk");
const TYPES = ["video", "image", "audio", "story"];
const LANGUAGES = languageOptions(languageTitle);

export default async function deskNewAsset({ signal, update }) {
  keepOthersOut(signal);
  const draft = { title: "", type: "video", isTypeChosen: false, files: [], once: createOnce() };
  const form = createForm(update, (values) => create(values, draft));
  const drop = { files: { isOver: false }, update };

  /** With a title it is made at once; without one its first file names it. */
  function take(files) {
    draft.files.push(...files.filter((file) => !draft.files.some((each) => isSame(each, file))));
    if (files.length && !draft.isTypeChosen) draft.type = assetTypeOf(files[0]);
    if (files.length && !draft.title.trim()) draft.title = titleOf(files[0].name);
    update();
    if (files.length) document.getElementById("new-asset").requestSubmit();
  }

  const view = () => html`
    <div class="desk-new">
      <p class="desk-back"><a href="/desk">${icon.back} ${t.toDesk}</a></p>
      <h1 tabindex="-1">${t.newAsset}</h1>
      <form id="new-asset" novalidate @submit=${form.submit}>
        ${refusal(form)} ${typeChoice(draft, update)}
        ${field(form, "title", t.titleField, {
          hint: t.titleHint,
          value: draft.title,
          maxlength: 300,
          onInput: ({ target }) => {
            draft.title = target.value;
          },
        })}
        ${fieldRow(
          form,
          "language",
          t.languageField,
          {},
          (described) =>
            html` <select id="language" name="language" aria-describedby=${described}>
              ${optionsOf(LANGUAGES, language)}
            </select>`,
        )}
        ${
          draft.files.length
            ? html`<ul class="rows">
                ${draft.files.map(fileRow)}
              </ul>`
            : nothing
        }
        <div class="actions">${submitButton(form, t.create)} <a href="/desk">${t.dontDoIt}</a></div>
      </form>
      <section class="desk-or" aria-labelledby="or-title">
        <h2 id="or-title">${t.orDrop}</h2>
        <p class="quiet">${t.orDropHint}</p>
        ${dropZone(t.dropFiles, take, drop)}
      </section>
    </div>
  `;
  return { title: t.newAsset, view };
}

const isSame = (one, other) =>
  ["name", "size", "lastModified"].every((each) => one[each] === other[each]);

const fileRow = ({ name, size: bytes }) =>
  html`<li><span>${name}</span> <span class="quiet">${size(bytes)}</span></li>`;

const typeChoice = (draft, update) => html`
  <fieldset class="field">
    <legend>${t.type}</legend>
    <div class="type-choice">
      ${TYPES.map(
        (type) =>
          html` <label class="option"
            ><input
              type="radio"
              name="type"
              value=${type}
              .checked=${type === draft.type}
              @change=${() => {
                Object.assign(draft, { type, isTypeChosen: true });
                update();
              }} /><span>${t.types[type]}</span></label
          >`,
      )}
    </div>
  </fieldset>
`;

async function create({ type, title, language: spoken }, draft) {
  const body = { type, title, language: spoken };
  // The same words sent again make no second asset, were the first answer lost.
  const asset = await draft.once(body, (key) => call("/v1/assets", { body, once: key }));
  const taken = new Set();
  for (const file of draft.files) {
    const rendition = guessRendition(file, type, taken);
    taken.add(rendition.name);
    enqueue(asset.id, file, rendition);
  }
  go(`/desk/assets/${asset.id}`, { replace: true });
}
