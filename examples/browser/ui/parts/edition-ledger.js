// What became of each recipient's mail: by state, by address, page after page.
import { call } from "../api.js";
import { createForm, field, refusal, refuse, submitButton } from "../forms.js";
import { moment } from "../format.js";
import { html, nothing } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("editions");

const STATES = ["pending", "sending", "deferred", "sent", "failed", "unknown", "skipped", "cancelled", "missing"];
const MARKS = { sent: "good", failed: "bad", unknown: "bad", missing: "bad", deferred: "warn", pending: "accent", sending: "accent" };

export function createLedger({ id, update, signal }) {
  const ledger = { items: null, next: null, view, load };
  const filter = { state: "", email: "" };
  const form = createForm(update, async (values) => {
    Object.assign(filter, { state: values.state, email: values.email.trim() });
    await fetchPage(null);
  });
  const more = createForm(update, () => fetchPage(ledger.next));

  async function load() {
    try {
      await fetchPage(null);
    } catch (error) {
      if (signal.aborted) return;
      refuse(form, error);
    }
    update();
  }

  async function fetchPage(cursor) {
    const wanted = Object.entries({ limit: 20, cursor, ...filter }).filter(([, value]) => value);
    const page = await call(`/v1/newsletter/editions/${id}/deliveries?${new URLSearchParams(wanted)}`, { signal });
    ledger.items = cursor ? [...ledger.items, ...page.items] : page.items;
    ledger.next = page.next_cursor;
  }

  function view() {
    return html`
      <section aria-labelledby="ledger-heading">
        <h2 id="ledger-heading">${t.ledger}</h2>
        <form class="ledger-filter" novalidate @submit=${form.submit}>
          ${refusal(form)}
          <div class="field">
            <label for="state">${t.state}</label>
            <select id="state" name="state">
              <option value="">${t.everyState}</option>
              ${STATES.map((each) => html`<option value=${each}>${t.deliveryStates[each]}</option>`)}
            </select>
          </div>
          ${field(form, "email", t.address, { type: "email", optional: true })}
          ${submitButton(form, t.show, "secondary")}
        </form>
        ${ledger.items ? table(ledger.items) : nothing}
        ${ledger.next ? html`
          <form @submit=${more.submit}>${refusal(more)}<div class="actions">${submitButton(more, t.more, "secondary small")}</div></form>
        ` : nothing}
      </section>
    `;
  }
  return ledger;
}

const table = (items) => (items.length ? html`
  <div class="table-scroll" tabindex="0" role="group" aria-label=${t.ledger}>
    <table class="ledger">
      <thead><tr>${[t.address, t.state, t.answer, t.attempts, t.when].map((each) => html`<th scope="col" class=${each === t.attempts ? "number" : nothing}>${each}</th>`)}</tr></thead>
      <tbody>${items.map(row)}</tbody>
    </table>
  </div>
` : html`<p class="quiet" role="status">${t.nobodyHere}</p>`);

const row = (entry) => html`
  <tr>
    <td>${entry.email ?? t.erased}</td>
    <td><span class="badge ${MARKS[entry.state] ?? ""}">${t.deliveryStates[entry.state]}</span>${returned(entry)}</td>
    <td>${answerOf(entry)}</td>
    <td class="number">${entry.attempts}</td>
    <td>${whenOf(entry)}</td>
  </tr>
`;

const returned = (entry) => ["bounced", "complained", "unsubscribed"].map((each) =>
  (entry[`${each}_at`] ? html` <span class="badge warn">${t.figures[each]}</span>` : nothing));

/** A server's words mostly begin with its code. */
function answerOf({ smtp_code: code, smtp_status: status, reason }) {
  const number = status ?? code;
  return reason?.includes(number ?? "") ? reason : [number, reason].filter(Boolean).join(" ") || "–";
}

function whenOf({ finished_at: finished, next_try_at: next }) {
  if (finished) return moment(finished);
  return next ? t.nextTry(moment(next)) : "–";
}
