// What a key was used for in the last 30 days: bars to see at a glance, and the same figures to read.
import { call } from "../api.js";
import { explain } from "../forms.js";
import { count, day, size } from "../format.js";
import { html, nothing, svg } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("keys");
// The days that the API gives without being asked for others: today, and 30 before it.
const DAYS = 31;
const [BAR, GAP, HEIGHT] = [8, 2, 48];

/** `view(key)` loads its figures when it is opened, anew each time. */
export function createUsage(update, signal) {
  const found = new Map();

  async function load(id) {
    try {
      const { items } = await call(`/v1/usage?key_id=${id}&limit=100`, { signal });
      found.set(id, figures(items));
    } catch (error) {
      if (error.name === "AbortError") return;
      found.set(id, html`<p class="refusal">${explain(error)}</p>`);
    }
    update();
  }

  return (key) => html`
    <details class="usage" @toggle=${(event) => event.currentTarget.open && load(key.id)}>
      <summary>${t.usage}</summary>
      <div class="usage-figures" aria-live="polite">${found.get(key.id) ?? html`<p class="quiet">${t.loading}</p>`}</div>
    </details>
  `;
}

function figures(rows) {
  if (!rows.length) return html`<p>${t.neverUsed}</p>`;
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  return html`
    <p>
      ${t.callsInAll(count(sum("calls")), size(sum("response_bytes")))}
      ${t.downloadsInAll(count(sum("downloads")), size(sum("download_bytes")))}
    </p>
    ${bars(rows)} ${table(rows)}
  `;
}

// The table says the same to those who do not see them.
function bars(rows) {
  const calls = new Map(rows.map((row) => [row.day, row.calls]));
  const most = Math.max(1, ...calls.values());
  const days = Array.from({ length: DAYS }, (_, index) => dayBefore(DAYS - 1 - index));
  return html`
    <svg class="bars" viewBox="0 0 ${DAYS * (BAR + GAP)} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
      ${days.map((each, index) => bar(index, calls.get(each) ?? 0, most))}
    </svg>
  `;
}

function bar(index, calls, most) {
  const height = calls ? Math.max(2, Math.round((calls / most) * HEIGHT)) : 1;
  const [left, top] = [index * (BAR + GAP), HEIGHT - height];
  return svg`<rect class=${calls ? "used" : nothing} x=${left} y=${top} width=${BAR} height=${height}></rect>`;
}

/** As the API writes it: a day of UTC. */
const dayBefore = (days) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);

const COLUMNS = [t.day, t.calls, t.answers, t.downloads, t.downloaded];

const table = (rows) => html`
  <div class="table-scroll" tabindex="0" role="group" aria-label=${t.usage}>
    <table>
      <thead><tr>${COLUMNS.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`
        <tr>
          <th scope="row">${day(row.day)}</th>
          <td>${count(row.calls)}</td><td>${size(row.response_bytes)}</td>
          <td>${count(row.downloads)}</td><td>${size(row.download_bytes)}</td>
        </tr>
      `)}</tbody>
    </table>
  </div>
`;
