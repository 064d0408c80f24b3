// The account's sections: where one may go beside what one sees.
import { html, ref } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("common");

const SECTIONS = {
  profile: { path: "/account", name: t.profile },
  security: { path: "/account/security", name: t.security },
  downloads: { path: "/account/downloads", name: t.myDownloads },
  newsletter: { path: "/account/newsletter", name: t.newsletter },
  keys: { path: "/account/keys", name: t.keys },
};

// On a phone the row scrolls, and the last ones are out of sight. A part of the one before shows that it is there.
const BEFORE = 40;
const reveal = (link) => link && queueMicrotask(() => {
  link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - BEFORE;
});

/** `current` is one of "profile", "security", "downloads", "newsletter", "keys". */
export const accountSections = (current, content) => html`
  <div class="sections">
    <nav aria-label=${t.account}>
      ${Object.entries(SECTIONS).map(([key, { path, name }]) => (key === current
        ? html`<a href=${path} aria-current="page" ${ref(reveal)}>${name}</a>`
        : html`<a href=${path}>${name}</a>`))}
    </nav>
    <div>${content}</div>
  </div>
`;
