// Every address of the app. The server (or the static host) answers all of them with index.html.
import { currentAccount, isEditor, resume } from "./session.js";
import { here, safePath } from "./router.js";
import { stylesheet } from "./stylesheets.js";

const logInFirst = () => `/login?return_to=${encodeURIComponent(here())}`;
const needsAccount = async () => {
  await resume();
  return currentAccount() ? null : logInFirst();
};
const needsEditor = async () => (await needsAccount()) ?? (isEditor() ? null : "/");
const needsVisitor = () => {
  if (!currentAccount()) return null;
  return safePath(new URLSearchParams(location.search).get("return_to"));
};

function page(path, load, { layout = "wide", redirect, styles } = {}) {
  const pattern = new RegExp(`^${path.replaceAll(/:(\w+)/g, "(?<$1>[^/]+)")}/?$`);
  const loadStyled = async () => (await Promise.all([load(), stylesheet(styles)]))[0];
  return { pattern, load: styles ? loadStyled : load, layout, redirect, isOurs: true };
}

const narrow = { layout: "narrow" };
const visitor = { layout: "narrow", redirect: needsVisitor };
const account = { redirect: needsAccount };
const desk = { redirect: needsEditor, styles: "desk" };
const editions = { redirect: needsEditor, styles: "editions" };

export const pages = [
  page("/", () => import("./screens/home.js")),
  page("/search", () => import("./screens/search.js")),
  page("/assets/:slug", () => import("./screens/asset.js")),
  page("/collections/:slug", () => import("./screens/collection.js")),

  page("/register", () => import("./screens/register.js"), visitor),
  page("/verify", () => import("./screens/verify.js"), narrow),
  page("/welcome", () => import("./screens/welcome.js"), { ...narrow, ...account }),
  page("/login", () => import("./screens/login.js"), visitor),
  page("/reset", () => import("./screens/reset.js"), narrow),
  page("/undo", () => import("./screens/undo.js"), narrow),

  page("/newsletter", () => import("./screens/newsletter.js"), narrow),
  page("/newsletter/confirm", () => import("./screens/newsletter-confirm.js"), narrow),
  page("/newsletter/unsubscribe", () => import("./screens/newsletter-unsubscribe.js"), narrow),
  page("/newsletter/preferences", () => import("./screens/newsletter-preferences.js"), narrow),
  page("/newsletter/archive/:number", () => import("./screens/archived-edition.js")),

  page("/account", () => import("./screens/profile.js"), account),
  page("/account/security", () => import("./screens/security.js"), account),
  page("/account/downloads", () => import("./screens/my-downloads.js"), account),
  page("/account/newsletter", () => import("./screens/my-newsletter.js"), account),
  page("/account/keys", () => import("./screens/keys.js"), account),
  page("/account/delete", () => import("./screens/delete-account.js"), account),

  page("/desk", () => import("./screens/desk.js"), desk),
  page("/desk/assets/new", () => import("./screens/desk-new-asset.js"), desk),
  page("/desk/assets/:id", () => import("./screens/desk-asset.js"), desk),
  page("/desk/editions", () => import("./screens/desk-editions.js"), editions),
  page("/desk/editions/:id", () => import("./screens/desk-edition.js"), editions),

  { pattern: /^/, load: () => import("./screens/absent.js"), ...narrow, isOurs: false },
];
