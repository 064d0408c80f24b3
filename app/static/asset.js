// An asset as everybody may see it, while no browser app serves this page.

const TEXTS = {
  en: {
    recorded: "Recorded:", published: "Published:", files: "Files",
    withdrawn: "This was withdrawn",
    absent: ["There is nothing here", "It may have moved, or was never public. Please check the address."],
    failed: "This can’t be shown now",
    offline: "That did not work. Please check your connection and try again.",
  },
  fr: {
    recorded: "Enregistrement :", published: "Publication :", files: "Fichiers",
    withdrawn: "Ce contenu a été retiré",
    absent: ["Il n’y a rien ici", "Ce contenu a été déplacé ou n’a jamais été public. Veuillez vérifier l’adresse."],
    failed: "Ce contenu ne peut pas être affiché pour le moment",
    offline: "Cela n’a pas fonctionné. Vérifiez votre connexion et réessayez.",
  },
};

const reader = navigator.language.startsWith("fr") ? "fr" : "en";
const texts = TEXTS[reader];
const $ = (id) => document.getElementById(id);
const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

document.documentElement.lang = reader;
$("files-label").textContent = texts.files;

function write(id, text, language) {
  $(id).textContent = text ?? "";
  if (language) $(id).lang = language;
}

function head(text, language) {
  write("title", text, language);
  document.title = text;
}

// ---- What an asset says of itself

function place({ name, city, country }) {
  const land = country && new Intl.DisplayNames(reader, { type: "region" }).of(country);
  return [name, city, land].filter(Boolean).join(", ");
}

// Days without a time of day are the same day everywhere.
function days({ filmed_from: first, filmed_to: last, published_at: published }) {
  const format = new Intl.DateTimeFormat(reader, { dateStyle: "long", timeZone: "UTC" });
  const from = first ?? last;
  if (!from) return `${texts.published} ${format.format(new Date(published))}`;
  return `${texts.recorded} ${format.formatRange(new Date(from), new Date(last ?? from))}`;
}

function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const options = { style: "unit", unit: units[step], maximumFractionDigits: 1 };
  return new Intl.NumberFormat(reader, options).format(bytes / 1000 ** step);
}

function file({ name, media_type: mediaType, size_bytes: bytes, technical }) {
  const parts = [name, technical?.container ?? mediaType, size(bytes)];
  return make("li", { textContent: parts.join(" · ") });
}

// ---- Showing

function player({ preview, poster, captions }, title) {
  const video = make("video", { src: preview.url, controls: true, preload: "none", ariaLabel: title });
  if (poster) video.poster = poster.url;
  if (preview.width && preview.height) Object.assign(video, { width: preview.width, height: preview.height });
  video.append(...captions.map(({ kind, language, label, url }) => (
    make("track", { kind, srclang: language, label: label ?? language, src: url })
  )));
  return video;
}

function show(asset) {
  const translation = asset.translations[reader];
  const shown = translation?.title ? { ...translation, language: reader } : asset;
  head(shown.title, shown.language);
  const brief = shown.summary || shown.headline ? shown : asset;
  write("summary", brief.summary || brief.headline, brief.language);
  const full = shown.body ? shown : asset;
  write("body", full.body, full.language);
  write("facts", [asset.location && place(asset.location), days(asset)].filter(Boolean).join(" · "));
  if (asset.preview) $("media").append(player(asset, shown.title));
  else if (asset.poster) {
    const { url: src, width, height } = asset.poster;
    $("media").append(make("img", { src, alt: shown.title, ...(width && height && { width, height }) }));
  }
  $("renditions").append(...asset.renditions.map(file));
  $("files").hidden = !asset.renditions.length;
}

function refuse(status, { title, detail }) {
  if (status === 404) {
    head(texts.absent[0]);
    write("message", texts.absent[1]);
    return;
  }
  head(status === 410 ? texts.withdrawn : texts.failed);
  write("message", detail ?? title);
}

try {
  const slug = location.pathname.slice("/assets/".length);
  const response = await fetch(`/v1/assets/${slug}`, { headers: { Accept: "application/json" } });
  const answer = await response.json();
  if (response.ok) show(answer);
  else refuse(response.status, answer);
} catch {
  head(texts.failed);
  write("message", texts.offline);
}
