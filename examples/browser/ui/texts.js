// The reader's language, and its texts. A subject's texts load with the screens that show them.

export const LANGUAGES = { en: "English", fr: "Français" };
const KEPT_AS = "language";

export const language = chosenLanguage();
document.documentElement.lang = language;

/** The texts of one subject: `const t = await texts("account")`, then `t.logIn`. */
export async function texts(subject) {
  return (await import(`./texts/${language}/${subject}.js`)).default;
}

/** Texts are read once, so the page starts anew. */
export function chooseLanguage(name) {
  localStorage.setItem(KEPT_AS, name);
  location.reload();
}

function chosenLanguage() {
  const wished = [localStorage.getItem(KEPT_AS), ...navigator.languages];
  const known = wished.map((each) => each?.slice(0, 2).toLowerCase());
  return known.find((each) => Object.hasOwn(LANGUAGES, each)) ?? "en";
}
