import { call } from "../api.js";
import { day, size } from "../format.js";
import { html, nothing } from "../html.js";
import { accountSections } from "../parts/account-sections.js";
import { createPager, firstLimit, moreButton } from "../parts/pager.js";
import { locale, texts } from "../texts.js";

const t = await texts("catalogue");
const common = await texts("common");
const timeOfDay = new Intl.DateTimeFormat(locale, { timeStyle: "short" });

export default async function myDownloads({ signal, update }) {
  const get = (query) => call(`/v1/account/downloads?${new URLSearchParams(query)}`, { signal });
  const pager = createPager(update, await get({ limit: firstLimit() }), (cursor) => get({ cursor }));
  const view = () => accountSections("downloads", html`
    <h1 tabindex="-1">${common.myDownloads}</h1>
    ${pager.items.length ? history(pager.items) : empty()}
    ${moreButton(pager)}
  `);
  return { title: common.myDownloads, view };
}

/** By day, as the reader's clock has it. */
const history = (items) =>
  [...Map.groupBy(items, ({ occurred_at: when }) => dayOf(when))].map(([date, those]) => html`
    <h2>${day(date)}</h2>
    <ul class="rows">${those.map(row)}</ul>
  `);

function dayOf(time) {
  const when = new Date(time);
  return new Date(Date.UTC(when.getFullYear(), when.getMonth(), when.getDate())).toISOString();
}

const row = (past) => html`
  <li data-item>
    <div>
      <a href="/assets/${past.slug}">${past.title ?? t.withdrawnAsset}</a>
      <p class="quiet past">${about(past)}</p>
    </div>
    ${past.title === null ? html`<span class="badge warn">${t.withdrawnBadge}</span>` : nothing}
  </li>
`;

const about = ({ occurred_at: when, rendition, size_bytes: bytes, key_name: key }) =>
  [timeOfDay.format(new Date(when)), rendition, size(bytes), key && t.byKey(key)]
    .filter(Boolean)
    .join(" · ");

const empty = () => html`
  <p class="lead">${t.noDownloads}</p>
  <p><a class="button" href="/search">${t.wholeCatalogue}</a></p>
`;
