// Countries and territories, named and sorted in the reader's language.
import { COUNTRY_CODES } from "../country-codes.js";
import { fieldRow } from "../forms.js";
import { countryName } from "../format.js";
import { html } from "../html.js";
import { language, texts } from "../texts.js";

const t = await texts("account");

const { compare } = new Intl.Collator(language);
const NAMED = COUNTRY_CODES.map((code) => ({ code, name: countryName(code) }));
const COUNTRIES = NAMED.sort((one, other) => compare(one.name, other.name));

/** A select named `country`; `chosen` is a code, or null. */
export const countryField = (form, chosen) =>
  fieldRow(form, "country", t.country, { optional: true }, (described, isInvalid) => html`
    <select id="country" name="country" autocomplete="country"
      aria-describedby=${described} aria-invalid=${isInvalid}>
      <option value="">${t.noCountry}</option>
      ${COUNTRIES.map(({ code, name }) => html`<option value=${code} ?selected=${code === chosen}>${name}</option>`)}
    </select>
  `);
