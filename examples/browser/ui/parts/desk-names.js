// The desk's words for what the API names by codes.
import { COUNTRY_CODES } from "../country-codes.js";
import { html } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("desk");
const LANGUAGES = `
  ar bg bs ca cs da de el en es et fa fi fr ga he hi hr hu is it ja ka ko lb lt lv mk mt nb nl nn pl
  ps pt ro ru sk sl sq sr sv sw tr uk ur vi zh`.trim().split(/\s+/);
// Footage also comes from Kosovo, whose code ISO 3166-1 leaves to its users.
const COUNTRIES = [...COUNTRY_CODES, "XK"];

const byName = (codes, nameOf) =>
  codes
    .map((code) => [code, nameOf(code)])
    .toSorted(([, one], [, other]) => one.localeCompare(other));

/** Pairs of code and name, for a `select`. */
export const languageOptions = (nameOf) => byName(LANGUAGES, nameOf);
export const countryOptions = (nameOf) => byName(COUNTRIES, nameOf);

const STATUS_STYLE = { draft: "", scheduled: "accent", published: "good", withdrawn: "bad" };
export const statusBadge = (status) =>
  html`<span class="badge ${STATUS_STYLE[status]}">${t.status[status]}</span>`;

const FILE_STYLE = { pending: "", processing: "accent", ready: "good", failed: "bad" };
export const fileBadge = (state) =>
  html`<span class="badge ${FILE_STYLE[state]}">${t.fileState[state]}</span>`;

/** What a list says of an asset's files: the worst of them first. */
export function filesBadge({ type, renditions = [] }) {
  const count = (state) => renditions.filter((each) => (each.state ?? "ready") === state).length;
  const inWork = count("processing") + count("pending");
  if (count("failed")) return html`<span class="badge bad">${t.filesFailed(count("failed"))}</span>`;
  if (inWork) return html`<span class="badge accent">${t.filesInWork(inWork)}</span>`;
  if (count("ready")) return html`<span class="quiet">${t.filesReady(count("ready"))}</span>`;
  return type === "story"
    ? html`<span class="quiet">${t.noFile}</span>`
    : html`<span class="badge warn">${t.noFile}</span>`;
}
