// Captions of an asset: a file for each language, as WebVTT or SubRip.
import { createForm, fieldRow, refusal, submitButton } from "../forms.js";
import { languageName, languageTitle } from "../format.js";
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { texts } from "../texts.js";
import { ofThisVersion } from "./desk-editing.js";
import { optionsOf } from "./desk-inputs.js";
import { languageOptions } from "./desk-names.js";

const t = await texts("desk");
const LANGUAGES = languageOptions(languageTitle);
const MEDIA_TYPES = { vtt: "text/vtt", srt: "application/x-subrip" };

export function createCaptions(desk, update) {
  const form = createForm(update, async ({ caption_language: language, kind, label, file }, element) => {
    await put(desk, language, file, { kind, ...(label.trim() && { label }) });
    element.reset();
    say(t.captionsKept(languageName(language)));
  });
  const remove = async (language) => {
    await changeCaptions(desk, language, { method: "DELETE" });
    say(t.captionsRemoved(languageName(language)));
  };
  return { form, remove };
}

async function put(desk, language, file, query) {
  const type = MEDIA_TYPES[file.name.split(".").at(-1).toLowerCase()] ?? "text/vtt";
  await changeCaptions(desk, `${language}?${new URLSearchParams(query)}`, {
    method: "PUT",
    body: file,
    headers: { "Content-Type": type },
  });
}

// Each is a version of its own; what is being typed goes on from it.
async function changeCaptions(desk, target, request) {
  await ofThisVersion(desk.editing, `/captions/${target}`, request);
  await desk.editing.refresh();
}

export const captionsSection = ({ form, remove }, desk) => html`
  <section id="captions" aria-labelledby="captions-title">
    <h2 id="captions-title" tabindex="-1">${t.captions}</h2>
    ${
      desk.asset.captions.length
        ? html` <ul class="rows">
            ${desk.asset.captions.map(
              (each) =>
                html` <li>
                  <span
                    ><strong>${each.label ?? languageTitle(each.language)}</strong>
                    <span class="quiet">${each.language} · ${t.captionKinds[each.kind]}</span></span
                  >
                  ${
                    desk.isReadOnly
                      ? nothing
                      : html`<button
                          class="plain link"
                          aria-label="${t.removeCaptions} ${languageName(each.language)}"
                          @click=${() => desk.attempt(() => remove(each.language))}>
                          ${t.removeCaptions}
                        </button>`
                  }
                </li>`,
            )}
          </ul>`
        : html`<p class="quiet">${t.noCaptions}</p>`
    }
    ${desk.isReadOnly ? nothing : newCaptions(form, desk.asset.language)}
  </section>
`;

const newCaptions = (form, usual) => html`
  <details class="further">
    <summary>${t.addCaptions}</summary>
    <form novalidate @submit=${form.submit}>
      ${refusal(form)}
      <div class="pair">
        ${fieldRow(
          form,
          "caption_language",
          t.captionLanguage,
          {},
          (described) =>
            html` <select id="caption_language" name="caption_language" aria-describedby=${described}>
              ${optionsOf(LANGUAGES, usual)}
            </select>`,
        )}
        ${fieldRow(
          form,
          "kind",
          t.captionKind,
          {},
          (described) =>
            html` <select id="kind" name="kind" aria-describedby=${described}>
              ${optionsOf(Object.entries(t.captionKinds), "captions")}
            </select>`,
        )}
      </div>
      ${fieldRow(
        form,
        "label",
        t.captionLabel,
        { optional: true },
        (described) =>
          html` <input
            id="label"
            name="label"
            maxlength="200"
            autocomplete="off"
            aria-describedby=${described} />`,
      )}
      ${fieldRow(
        form,
        "file",
        t.captionFile,
        { hint: t.captionFileHint },
        (described, isInvalid) =>
          html` <input
            id="file"
            name="file"
            type="file"
            accept=".vtt,.srt,text/vtt"
            required
            aria-describedby=${described}
            aria-invalid=${isInvalid} />`,
      )}
      <div class="actions">${submitButton(form, t.addCaptions, "secondary")}</div>
    </form>
  </details>
`;
