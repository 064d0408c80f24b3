// The account's sections: where one may go beside what one sees.
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("common");

const SECTIONS = {
  profile: { path: "/account", name: t.profile },
  security: { path: "/account/security", name: t.security },
  downloads: { path: "/account/downloads", name: t.myDownloads },
  newsletter: { path: "/account/newsletter", name: t.newsletter },
  keys: { path: "/account/keys", name: t.keys },
};

/** `current` is one of "profile", "security", "downloads", "newsletter", "keys". */
export const accountSections = (current, content) => html`
  <div class="sections">
    <nav aria-label=${t.account}>
      ${Object.entries(SECTIONS).map(([key, { path, name }]) => html`
        <a href=${path} aria-current=${key === current ? "page" : nothing}>${name}</a>
      `)}
    </nav>
    <div>${content}</div>
  </div>
`;
