// The shotlist; each line leads to its moment in the preview.
import { html, nothing } from "../html.js";
import { day, languageName } from "../format.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");

export function shotlist(asset, { said, player }) {
  if (asset.shotlist.length === 0) return nothing;
  const translated = said("shotlist");
  const line = (shot) => ({ ...shot, ...wordsOf(shot, translated, asset.language) });
  return html`
    <section aria-labelledby="shotlist">
      <h2 id="shotlist">${t.shotlist}</h2>
      <ol class="shots">
        ${asset.shotlist.map((shot) => html`<li>${row(line(shot), asset.preview && player)}</li>`)}
      </ol>
    </section>
  `;
}

/** A translated shotlist has the words alone, by number, and may lack some. */
function wordsOf({ number, text }, translated, own) {
  const found = translated.lang !== own && translated.text?.find((each) => each.number === number);
  return found ? { text: found.text, lang: translated.lang } : { text, lang: own };
}

function row(shot, player) {
  const time = html`<span class="shot-time">${shot.timecode_in}</span>`;
  if (!player) return html`<div class="shot">${time}${content(shot)}</div>`;
  return html`
    <button class="shot plain" aria-current=${player.shot === shot.number ? "true" : nothing}
      @click=${() => player.seek(shot.start_ms)}>
      ${time}${content(shot)}
    </button>
  `;
}

const content = ({ kind, text, lang, speaker, language, location, filmed_on: filmed }) => html`
  <span class="shot-text">
    ${kind === "shot" ? nothing : html`<span class="badge">${kindOf(kind, language)}</span>`}
    ${speaker ? html`<strong>${speaker}</strong>` : nothing}
    <span lang=${lang}>${text}</span>
    <small>${[location, filmed && day(filmed)].filter(Boolean).join(", ")}</small>
  </span>
`;

const kindOf = (kind, language) =>
  [t.shots[kind], language && languageName(language)].filter(Boolean).join(" · ");
