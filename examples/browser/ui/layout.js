// What stands around every screen: the head with search and account, and the foot.
import { apiUrl } from "./config.js";
import { explain } from "./forms.js";
import { html, nothing } from "./html.js";
import { icon } from "./parts/icons.js";
import { go, here, mayLeave } from "./router.js";
import { currentAccount, isEditor, logOut } from "./session.js";
import { chooseLanguage, LANGUAGES, language, texts } from "./texts.js";

const t = await texts("common");

export const layout = (screen) => html`
  <a class="skip" href="#main">${t.skip}</a>
  ${head()}
  <main id="main" tabindex="-1">${screen}</main>
  ${foot()}
  <div id="said" class="unseen" role="status"></div>
`;

/** Have a screen reader say it; those who see have it on the screen. */
export function say(text) {
  document.getElementById("said").textContent = text ?? "";
}

const head = () => html`
  <header class="head">
    <div class="wide head-row">
      <a class="brand" href="/"><img src="/ui/icon.svg" alt="" width="28" height="28">Multimedia Account</a>
      <nav class="head-nav" aria-label=${t.catalogue}>
        <a href="/search?type=video">${t.videos}</a>
        <a href="/search?type=image">${t.pictures}</a>
        <a href="/search?type=audio">${t.sound}</a>
        <a href="/search?type=story">${t.stories}</a>
      </nav>
      <form class="head-search" role="search" action="/search" @submit=${search}>
        <input name="q" type="search" aria-label=${t.search} placeholder=${t.search} autocomplete="off" enterkeyhint="search">
        <button class="plain" aria-label=${t.search}>${icon.search}</button>
      </form>
      ${currentAccount() ? accountMenu(currentAccount()) : visitorLinks()}
    </div>
    <div class="loading" aria-hidden="true"></div>
  </header>
`;

const visitorLinks = () => html`
  <nav class="head-account" aria-label=${t.account}>
    <a href="/login?return_to=${onward()}">${t.logIn}</a>
    <a class="button small" href="/register?return_to=${onward()}">${t.register}</a>
  </nav>
`;

/** From one of the pages on the way to an account, on to where that way is to lead. */
const onward = () => encodeURIComponent(new URLSearchParams(location.search).get("return_to") ?? here());

const accountMenu = ({ email, full_name: name }) => html`
  <details class="menu head-account" @focusout=${closeWhenLeft} @click=${closeWhenChosen} @keydown=${closeOnEscape}>
    <summary aria-label="${t.account}: ${email}"><span class="avatar" aria-hidden="true">${(name || email)[0].toUpperCase()}</span></summary>
    <div class="menu-items">
      <p class="menu-name">${name ?? email}</p>
      ${isEditor() ? html`<a href="/desk">${t.desk}</a><a href="/desk/editions">${t.editions}</a><hr>` : nothing}
      <a href="/account/downloads">${t.myDownloads}</a>
      <a href="/account/newsletter">${t.newsletter}</a>
      <a href="/account">${t.profile}</a>
      <a href="/account/security">${t.security}</a>
      <a href="/account/keys">${t.keys}</a>
      <hr>
      <button class="plain" @click=${leave}>${t.logOut}</button>
    </div>
  </details>
`;

const foot = () => html`
  <footer class="foot">
    <div class="wide foot-row">
      <nav aria-label=${t.more}>
        <a href="/newsletter">${t.newsletter}</a>
        <a href=${apiUrl("/v1/feeds/assets.atom")}>Atom</a>
        <a href=${apiUrl("/docs")}>API</a>
      </nav>
      <nav aria-label=${t.language}>
        ${Object.entries(LANGUAGES).map(([code, name]) => html`
          <button class="plain" lang=${code} aria-pressed=${code === language} @click=${() => chooseLanguage(code)}>${name}</button>
        `)}
      </nav>
    </div>
  </footer>
`;

function search(event) {
  event.preventDefault();
  const wanted = new URLSearchParams(new FormData(event.target));
  go(`/search?${wanted}`);
}

async function leave() {
  if ((isTransferring() && !confirm(t.logOutStops)) || !mayLeave()) return null;
  try {
    await logOut();
  } catch (error) {
    return alert(explain(error)); // the session goes on, and whoever leaves must know
  }
  return go("/");
}

/** Whether a file is on its way, by those who would have the browser ask; the router asks itself. */
const isTransferring = () => !dispatchEvent(new Event("beforeunload", { cancelable: true }));

const menuOf = (event) => event.target.closest("details");

function closeWhenChosen(event) {
  if (event.target.closest("a, button")) menuOf(event).open = false;
}

function closeWhenLeft(event) {
  if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}

function closeOnEscape(event) {
  if (event.key !== "Escape") return;
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}
