// Numbers and times as the reader's language writes them.
import { language, locale } from "./texts.js";

const DAY = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeZone: "UTC" });
const MOMENT = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const COUNT = new Intl.NumberFormat(locale);
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
const SPANS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];

/** French sets a space before it. */
export const colon = language === "fr" ? "\u00a0:" : ":";
export const count = (number) => COUNT.format(number);
/** A day without a time of day is the same day everywhere. */
export const day = (date) => DAY.format(new Date(date));
export const days = (first, last) => DAY.formatRange(new Date(first), new Date(last));
export const moment = (time) => MOMENT.format(new Date(time));

/** What an input of the type "datetime-local" takes: the time here, without a zone. */
export function localTime(time) {
  const here = new Date(time);
  return new Date(here - here.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  const [unit, length] = SPANS.find(([, span]) => Math.abs(seconds) >= span) ?? ["second", 1];
  return AGO.format(Math.round(seconds / length), unit);
}

export function size(bytes) {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const options = { style: "unit", unit: UNITS[step], maximumFractionDigits: 1 };
  return new Intl.NumberFormat(locale, options).format(bytes / 1000 ** step);
}

/** 75 000 ms is 1:15. */
export function duration(ms) {
  const all = Math.round(ms / 1000);
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const padded = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${padded(minutes)}:${padded(seconds)}` : `${minutes}:${padded(seconds)}`;
}

const names = (type) => {
  const known = new Intl.DisplayNames(language, { type, fallback: "code" });
  return (code) => {
    try {
      return known.of(code);
    } catch {
      return code;
    }
  };
};
export const countryName = names("region");
export const languageName = names("language");
/** Where it stands alone: French writes the names of languages small in a sentence. */
export const languageTitle = (code) => {
  const name = languageName(code);
  return name[0].toLocaleUpperCase(locale) + name.slice(1);
};
