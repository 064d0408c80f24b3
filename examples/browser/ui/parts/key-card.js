// One key: what it may do, how it was used, and what one can do with it.
import { ago, day, moment } from "../format.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("keys");
const BADGES = { active: "good", expired: "warn", revoked: "bad" };

/** `actions` has `rotate(key)`, `revoke(key)` and `usage(key)`, which draws. */
export const keyCard = (key, { rotate, revoke, usage }) => html`
  <li class="panel">
    <div class="key-head">
      <h3 id="key-${key.id}">${key.name}</h3>
      <span class="badge ${BADGES[key.state]}">${t.states[key.state]}</span>
    </div>
    <ul class="scopes">${key.scopes.map((scope) => html`<li class="badge">${t.scopeNames[scope]}</li>`)}</ul>
    ${facts(key)}
    ${key.secrets.slice(1).map(former)}
    ${usage(key)}
    ${key.state === "active" ? buttons(key, rotate, revoke) : nothing}
  </li>
`;

const facts = (key) => html`
  <dl class="key-facts">
    <div><dt>${t.endsIn}</dt><dd><code>…${key.hint}</code></dd></div>
    <div><dt>${t.lastUsed}</dt><dd>${key.last_used_at ? time(key.last_used_at, ago) : t.never}</dd></div>
    <div><dt>${t.made}</dt><dd>${time(key.created_at, day)}</dd></div>
    <div><dt>${key.revoked_at ? t.revokedOn : t.expires}</dt><dd>${end(key)}</dd></div>
  </dl>
`;

const former = ({ hint, expires_at: until }) => html`
  <p class="notice warn">${t.formerWorks(hint, moment(until))}</p>
`;

const end = ({ revoked_at: revoked, expires_at: expires }) => {
  const at = revoked ?? expires;
  return at ? time(at, day) : t.never;
};
const time = (value, shown) => html`<time datetime=${value} title=${moment(value)}>${shown(value)}</time>`;

const buttons = (key, rotate, revoke) => html`
  <div class="actions">
    ${button(key, t.rotate, "secondary", () => rotate(key))}
    ${button(key, t.revoke, "danger", () => revoke(key))}
  </div>
`;

const button = ({ id }, name, style, act) => html`
  <button class="button small ${style}" aria-describedby="key-${id}" @click=${act}>${name}</button>
`;
