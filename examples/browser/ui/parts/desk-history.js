// Who changed what of an asset and when, and how often its files were downloaded. Loaded when opened.
import { call } from "../api.js";
import { count, day, moment } from "../format.js";
import { explain } from "../forms.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("desk");
const labels = (await texts("desk-form")).fields;

export function createHistory(id, update, signal) {
  const history = { versions: null, next: null, counts: null, error: null };

  async function load() {
    const cursor = history.next ? `&cursor=${encodeURIComponent(history.next)}` : "";
    const [page, counts] = await Promise.all([
      call(`/v1/assets/${id}/versions?limit=20${cursor}`, { signal }),
      history.counts ?? call(`/v1/assets/${id}/downloads`, { signal }),
    ]);
    history.versions = [...(history.versions ?? []), ...page.items];
    Object.assign(history, { next: page.next_cursor, counts, error: null });
  }
  const attempt = () =>
    load()
      .catch((error) => {
        if (error.name !== "AbortError") history.error = explain(error);
      })
      .then(update);

  return {
    /** Forget what is no longer all there is. */
    renew() {
      Object.assign(history, { versions: null, next: null, counts: null });
      if (document.getElementById("history")?.querySelector("details")?.open) attempt();
    },
    view: () => section(history, attempt),
  };
}

const section = (history, load) => html`
  <section id="history" aria-labelledby="history-title">
    <h2 id="history-title" tabindex="-1">${t.history}</h2>
    <details class="further" @toggle=${({ target }) => target.open && !history.versions && load()}>
      <summary>${t.showHistory}</summary>
      ${history.error ? html`<p class="refused" role="alert">${history.error}</p>` : nothing}
      ${history.counts ? downloads(history.counts) : nothing}
      ${
        history.versions
          ? html`<ol class="rows versions" reversed>
              ${history.versions.map(version)}
            </ol>`
          : html`<p class="quiet">${t.loading}</p>`
      }
      <button class="button secondary small" ?hidden=${!history.next} @click=${load}>${t.older}</button>
    </details>
  </section>
`;

const downloads = ({ total, renditions, days }) => html`
  <h3>${t.downloads(total)}</h3>
  ${
    total
      ? html`<p class="quiet">
          ${[
            ...renditions.filter((each) => each.count).map((each) => `${each.name}: ${count(each.count)}`),
            ...(days.length ? [t.lastDownload(day(days[0].day))] : []),
          ].join(" · ")}
        </p>`
      : nothing
  }
`;

const version = ({ version: number, kind, note, changes, occurred_at: at }) => html`
  <li>
    <div>
      <strong>${t.versionKinds[kind] ?? kind}</strong>
      <span class="quiet">${t.version(number)} · ${moment(at)}</span>
      ${note ? html`<p class="version-note">${note}</p>` : nothing}
      ${
        Object.keys(changes).length
          ? html` <details>
              <summary>
                ${Object.keys(changes)
                  .map((name) => labels[name] ?? name)
                  .join(", ")}
              </summary>
              <dl class="changes">${Object.entries(changes).map(change)}</dl>
            </details>`
          : nothing
      }
    </div>
  </li>
`;

const change = ([name, { before, after }]) => html`
  <dt>${labels[name] ?? name}</dt>
  <dd><del>${told(before)}</del><ins>${told(after)}</ins></dd>
`;

/** A field's value in words, for people to compare. */
export function told(value) {
  if (value === null || value === undefined || value === "") return "—";
  if (Array.isArray(value)) return value.map((each) => told(each)).join("\n") || "—";
  if (typeof value !== "object") return String(value);
  if ("title" in value && "id" in value) return value.title;
  const parts = Object.entries(value).filter(
    ([, each]) => each !== null && each !== "" && !(Array.isArray(each) && !each.length),
  );
  return (
    parts.map(([name, each]) => (typeof each === "object" ? `${name}: ${told(each)}` : each)).join(" · ") ||
    "—"
  );
}
