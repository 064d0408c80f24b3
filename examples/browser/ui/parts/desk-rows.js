// The lists of an asset's form: what each row asks for.
import { texts } from "../texts.js";

const t = await texts("desk-form");
const f = t.fields;

export const PEOPLE = {
  legend: f.people,
  add: t.addPerson,
  fresh: { relation: "shown" },
  columns: [
    { name: "name", label: t.name, wide: true },
    { name: "role", label: t.role },
    { name: "rank", label: t.rank },
    { name: "relation", label: t.relation, options: Object.entries(t.relations) },
  ],
};

export const ORGANISATIONS = {
  legend: f.organisations,
  add: t.addOrganisation,
  columns: [
    { name: "name", label: t.name, wide: true },
    { name: "uri", label: t.address, type: "url" },
  ],
};

export const SUBJECTS = {
  legend: f.subjects,
  add: t.addSubject,
  fresh: { scheme: "medtop" },
  hint: t.hints.subjects,
  columns: [
    { name: "scheme", label: t.scheme },
    { name: "code", label: t.code },
    { name: "name", label: t.name, wide: true },
  ],
};

export const CREDITS = {
  legend: f.credits,
  add: t.addCredit,
  columns: [
    { name: "role", label: t.role },
    { name: "name", label: t.name, wide: true },
  ],
};

export const RESTRICTIONS = {
  legend: f.restrictions,
  add: t.addRestriction,
  fresh: { kind: "geo", rule: "deny", values: "" },
  hint: t.hints.restrictions,
  columns: [
    { name: "rule", label: t.rule, options: Object.entries(t.rules) },
    { name: "kind", label: t.restrictionKind, options: Object.entries(t.restrictionKinds) },
    { name: "values", label: t.values, wide: true },
    { name: "from", label: t.from, type: "date" },
    { name: "to", label: t.to, type: "date" },
    { name: "note", label: t.note, wide: true },
  ],
};

export const THIRD_PARTY = {
  legend: f.third_party,
  add: t.addThirdParty,
  fresh: { kind: "music" },
  columns: [
    { name: "kind", label: t.thirdPartyKind, options: Object.entries(t.thirdPartyKinds) },
    { name: "description", label: t.description, wide: true },
    { name: "owner", label: t.owner },
  ],
};

export const ALTERNATIVE_IDS = {
  legend: f.alternative_ids,
  add: t.addNumber,
  hint: t.hints.alternative_ids,
  columns: [
    { name: "role", label: t.numberKind },
    { name: "value", label: t.number, wide: true },
  ],
};
