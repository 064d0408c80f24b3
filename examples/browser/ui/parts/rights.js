// What may be done with an asset. It stands before the download.
import { html, nothing } from "../html.js";
import { colon, countryName, day, duration } from "../format.js";
import { texts } from "../texts.js";

const t = await texts("catalogue");

export function rights(asset) {
  const { rights: known, restrictions, third_party: others, available_until: until } = asset;
  if (!known && !restrictions.length && !others.length && !until) return nothing;
  return html`
    <section aria-labelledby="rights">
      <h2 id="rights">${t.rights}</h2>
      ${restrictions.length || until ? html`<ul class="notice warn limits">
        ${restrictions.map((each) => html`<li>${restriction(each)}</li>`)}
        ${until ? html`<li>${t.availableUntil(day(until))}</li>` : nothing}
      </ul>` : nothing}
      ${known ? terms(known, asset.language) : nothing}
      ${others.length ? html`<h3>${t.thirdParty}</h3><ul>${others.map(other)}</ul>` : nothing}
    </section>
  `;
}

function terms(known, language) {
  const holder = [known.copyright_year, known.copyright_holder].filter(Boolean).join(" ");
  const copyright = known.copyright_notice ?? holder;
  return html`
    ${known.usage_terms ? html`<p lang=${language}>${known.usage_terms}</p>` : nothing}
    <dl class="facts">
      ${fact(t.credit, known.credit_line)}
      ${fact(t.copyright, copyright)}
      ${fact(t.license, licence(known.license))}
    </dl>
  `;
}

/** Licences are addresses, or names (urn:…) that lead nowhere. */
const licence = (address) =>
  address?.startsWith("http") ? html`<a href=${address} rel="external">${address}</a>` : address;

const fact = (name, value) => (value ? html`<div><dt>${name}</dt><dd>${value}</dd></div>` : nothing);

function restriction({ kind, rule, values, from, to, note }) {
  const named = values.map((value) => (kind === "geo" ? countryName(value) : value)).join(", ");
  const when = [from && t.from(day(from)), to && t.until(day(to))].filter(Boolean).join(" ");
  return [t.restrictions[kind][rule](named), when, note].filter(Boolean).join(" · ");
}

function other({ kind, description, owner, start_ms: start, end_ms: end }) {
  const times = [start, end].filter((each) => each !== null).map(duration);
  const time = times.length ? ` (${times.join("–")})` : "";
  return html`<li>${t.thirdParties[kind]}${time}${colon} ${[description, owner].filter(Boolean).join(", ")}</li>`;
}
