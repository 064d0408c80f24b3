// Who somebody is, as far as they say it: at registration and in the profile.
import { field } from "../forms.js";
import { html } from "../html.js";
import { texts } from "../texts.js";
import { countryField } from "./countries.js";

const t = await texts("account");
const OPTIONAL = { optional: true, maxlength: 200 };

export const PERSON_FIELDS = ["full_name", "organisation", "country"];

export const personFields = (form, { full_name: name, organisation, country } = {}) => html`
  ${field(form, "full_name", t.fullName, { ...OPTIONAL, autocomplete: "name", value: name ?? "" })}
  ${field(form, "organisation", t.organisation, { ...OPTIONAL, autocomplete: "organization", value: organisation ?? "" })}
  ${countryField(form, country)}
`;
