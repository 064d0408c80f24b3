// The reader's language, and its texts. A subject's texts load with the screens that show them.
import { kept } from "./kept.js";

export const LANGUAGES = { en: "English", fr: "Français" };
const KEPT_AS = "language";

export const language = chosenLanguage();
/** With the reader's region, where the browser tells one: how dates and numbers are written. */
export const locale = navigator.languages.find((each) => each.startsWith(`${language}-`)) ?? language;
document.documentElement.lang = language;

/** The texts of one subject: `const t = await texts("account")`, then `t.logIn`. */
export async function texts(subject) {
  return (await import(`./texts/${language}/${subject}.js`)).default;
}

/** Texts are read once, so the page starts anew. */
export function chooseLanguage(name) {
  kept.set(KEPT_AS, name);
  location.reload();
}

function chosenLanguage() {
  const wished = [kept.get(KEPT_AS), ...navigator.languages];
  const known = wished.map((each) => each?.split("-")[0].toLowerCase());
  return known.find((each) => Object.hasOwn(LANGUAGES, each)) ?? "en";
}
