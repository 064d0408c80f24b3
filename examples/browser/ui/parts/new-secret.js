// A key's secret, this once, and a line to try it with.
import { apiUrl } from "../config.js";
import { moment } from "../format.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";
import { copyLine } from "./copy-line.js";

const t = await texts("keys");
// What a key may do, by a call that shows it and changes nothing.
const TRIED_BY = {
  "changes:read": "/v1/changes?limit=1",
  "assets:read": "/v1/assets?limit=1",
  "webhooks:manage": "/v1/webhooks",
};

/** `made` is the API's answer to making or rotating a key. */
export const newSecret = (made, putAway) => html`
  <section class="panel new-secret" aria-labelledby="new-secret">
    <h2 id="new-secret" tabindex="-1">${t.secretOf(made.name)}</h2>
    <p class="notice warn">${t.shownOnce} ${formerNote(made)}</p>
    ${copyLine("secret", t.secret, made.key)}
    <h3>${t.tryIt}</h3>
    ${copyLine("curl", t.tryIt, curlLine(made))}
    <div class="actions"><button class="button" @click=${putAway}>${t.putAway}</button></div>
  </section>
`;

const formerNote = ({ secrets: [, former] }) => (former ? t.formerUntil(moment(former.expires_at)) : nothing);

function curlLine({ key, scopes }) {
  const scope = Object.keys(TRIED_BY).find((each) => scopes.includes(each));
  return `curl -H "Authorization: Bearer ${key}" "${apiUrl(TRIED_BY[scope] ?? "/v1/usage")}"`;
}
