// The lists of the desk, by state.
import { call } from "../api.js";
import { ago, count } from "../format.js";
import { createForm, refusal, submitButton } from "../forms.js";
import { html, nothing } from "../html.js";
import { go } from "../router.js";
import { texts } from "../texts.js";
import { icon } from "../parts/icons.js";
import { hasDraft } from "../parts/desk-drafts.js";
import { optionsOf } from "../parts/desk-inputs.js";
import { filesBadge } from "../parts/desk-names.js";
import { listAssets, MOST_LOOKED_THROUGH } from "../parts/desk-lists.js";
import { apiUrl } from "../config.js";

const t = await texts("desk");
const STATUSES = ["draft", "scheduled", "published", "withdrawn"];
const TYPES = ["video", "image", "audio", "story"];

export default async function desk({ query, signal, update }) {
  const status = STATUSES.includes(query.get("status")) ? query.get("status") : "draft";
  const wanted = { status, type: query.get("type") ?? "", q: query.get("q") ?? "" };
  const [list, counts] = await Promise.all([listAssets(wanted, signal), countAll(signal)]);

  const more = createForm(update, async () => {
    const next = await listAssets({ ...wanted, cursor: list.next }, signal);
    Object.assign(list, { ...next, items: [...list.items, ...next.items] });
  });

  const view = () => html`
    <div class="desk-title">
      <h1 tabindex="-1">${t.desk}</h1>
      <a class="button" href="/desk/assets/new">${icon.plus} ${t.newAsset}</a>
    </div>
    <nav class="tabs" aria-label=${t.desk}>${STATUSES.map((each) => tab(each, wanted, counts))}</nav>
    ${filters(wanted)}
    ${
      list.items.length || list.next
        ? html`<ul class="desk-list">
            ${list.items.map((each) => row(each, status))}
          </ul>`
        : empty(wanted)
    }
    ${list.isCut ? html`<p class="quiet">${t.lookedThrough(count(MOST_LOOKED_THROUGH))}</p>` : nothing}
    <form ?hidden=${!list.next} @submit=${more.submit}>
      ${refusal(more)}
      <div class="actions">${submitButton(more, t.moreAssets, "secondary")}</div>
    </form>
  `;
  return { title: t.desk, view };
}

async function countAll(signal) {
  const totals = await Promise.all(
    STATUSES.map((status) => call(`/v1/assets?status=${status}&limit=1`, { signal })),
  );
  return Object.fromEntries(totals.map(({ total }, index) => [STATUSES[index], total]));
}

function address(wanted) {
  const given = Object.entries(wanted).filter(([, value]) => value);
  return `/desk?${new URLSearchParams(given)}`;
}

const tab = (status, wanted, counts) => html`
  <a href=${address({ ...wanted, status })} aria-current=${status === wanted.status ? "page" : nothing}>
    ${t.tabs[status]}
    <span class="quiet"
      >${count(counts[status].value)}${counts[status].relation === "gte" ? "+" : ""}</span
    ></a
  >
`;

const filters = (wanted) => html`
  <form class="desk-filters" role="search" @submit=${(event) => search(event, wanted)}>
    <div class="field">
      <label for="q" class="unseen">${t.search}</label>
      <input
        id="q"
        name="q"
        type="search"
        maxlength="200"
        .value=${wanted.q}
        placeholder=${t.search}
        autocomplete="off"
        enterkeyhint="search" />
    </div>
    <div class="field">
      <label for="type" class="unseen">${t.type}</label>
      <select
        id="type"
        name="type"
        .value=${wanted.type}
        @change=${({ target }) => go(address({ ...wanted, type: target.value }))}>
        <option value="">${t.allTypes}</option>
        ${optionsOf(
          TYPES.map((each) => [each, t.types[each]]),
          wanted.type,
        )}
      </select>
    </div>
    <button class="button secondary">${icon.search}<span>${t.search}</span></button>
  </form>
`;

function search(event, wanted) {
  event.preventDefault();
  go(address({ ...wanted, q: new FormData(event.target).get("q").trim() }));
}

const row = (asset, status) => html`
  <li>
    <div class="desk-thumb" aria-hidden="true">${thumb(asset, status)}</div>
    <div class="desk-what">
      <a href="/desk/assets/${asset.id}" lang=${asset.language}>${asset.title}</a>
      <p class="quiet">${[t.types[asset.type], when(asset, status)].join(" · ")}</p>
    </div>
    <p class="desk-files">
      ${hasDraft(asset.id) ? html`<span class="badge warn">${t.unsavedHere}</span>` : nothing}
      ${filesBadge(asset)}
    </p>
  </li>
`;

// What was withdrawn shows its picture to nobody.
const thumb = ({ type, poster }, status) =>
  poster && status !== "withdrawn"
    ? html`<img src=${apiUrl(poster.url)} width="160" height="90" alt="" loading="lazy" />`
    : (icon[type] ?? icon.play);

function when(asset, status) {
  if (status === "scheduled") return t.goesPublic(ago(asset.publish_at));
  if (status === "withdrawn") return t.wasWithdrawn(ago(asset.withdrawn_at));
  return status === "published" ? t.wasPublished(ago(asset.published_at)) : t.changed(ago(asset.updated_at));
}

const empty = ({ status, q, type }) => html`
  <div class="desk-empty">
    <p class="lead">${q || type ? t.nothingFound : t.emptyLists[status]}</p>
    ${q || type ? html`<a href=${address({ status })}>${t.showAll}</a>` : nothing}
  </div>
`;
