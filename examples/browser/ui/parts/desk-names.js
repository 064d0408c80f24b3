// The desk's words for what the API names by codes.
import { html } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("desk");
const LANGUAGES = `
  ar bg bs ca cs da de el en es et fa fi fr ga he hi hr hu is it ja ka ko lb lt lv mk mt nb nl nn pl
  ps pt ro ru sk sl sq sr sv sw tr uk ur vi zh`;
const COUNTRIES = `
  AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
  BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
  ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT
  HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
  LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI
  NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG
  SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
  UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW`;

const byName = (codes, nameOf) =>
  codes
    .trim()
    .split(/\s+/)
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
