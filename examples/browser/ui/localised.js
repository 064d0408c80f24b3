// What a document of the catalogue says, in the reader's language where it has been translated.
import { language as readers } from "./texts.js";

const primary = (tag) => tag.split("-")[0].toLowerCase();

/** All languages that it can be read in, its own first. */
export const languagesOf = ({ language, translations = {} }) => [
  ...new Set([language, ...Object.keys(translations)]),
];

/** The reader's if it has that, else its own. */
export const bestLanguage = (document) =>
  languagesOf(document).find((each) => primary(each) === readers) ?? document.language;

/** `read(asset)("title")` is `{ text, lang }`: translations may lack some of the fields. */
export function read(document, wanted = bestLanguage(document)) {
  const translation = document.translations?.[wanted] ?? {};
  return (name) =>
    translation[name]
      ? { text: translation[name], lang: wanted }
      : { text: document[name], lang: document.language };
}

/** As those who read it call it: English, Français. */
export function ownName(tag) {
  const name = new Intl.DisplayNames(tag, { type: "language" }).of(tag);
  return name.charAt(0).toLocaleUpperCase(tag) + name.slice(1);
}

/** Is this what the reader would choose, among captions in several languages? */
export const isReaders = (tag) => primary(tag) === readers;
