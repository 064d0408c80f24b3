// An edition on its way: how far it is, its figures afterwards, and the steps that it can take.
import { call } from "../api.js";
import { count, moment } from "../format.js";
import { html, nothing } from "../html.js";
import { say } from "../layout.js";
import { locale, texts } from "../texts.js";

const t = await texts("editions");

// Milliseconds between two looks at the figures while mails leave.
const PACE = 1000;
const LIVE = ["pending", "sending", "deferred"];
const left = (stats) => LIVE.reduce((sum, state) => sum + stats.deliveries[state], 0);

/** Figures that follow the sending; `onEnd` is called when its state is another than the edition's. */
export function createProgress({ edition, stats, update, signal, onStateChange }) {
  const progress = { stats, isStale: false, look };
  let timer;
  let told = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  wait();

  function wait() {
    clearTimeout(timer);
    if (progress.stats.state === "sending") timer = setTimeout(look, PACE);
  }

  async function look() {
    clearTimeout(timer);
    try {
      const before = progress.stats.state;
      progress.stats = await call(`/v1/newsletter/editions/${edition.id}/stats`, { signal });
      progress.isStale = false;
      if (progress.stats.state !== before) onStateChange();
      tell();
    } catch (error) {
      if (signal.aborted) return;
      progress.isStale = true;
      timer = setTimeout(look, PACE * 5);
      return update();
    }
    wait();
    update();
  }

  // A voice that counts each second would hide everything else: it speaks at each quarter.
  function tell() {
    const quarter = Math.floor(share(progress.stats) * 4);
    if (quarter > told && quarter < 4) say(t.percentDone(quarter * 25));
    told = Math.max(told, quarter);
  }
  return progress;
}

/** Between 0 and 1; the ledger grows while the first mails leave. */
function share(stats) {
  return stats.recipients && stats.is_complete ? (stats.recipients - left(stats)) / stats.recipients : 0;
}

export function progressView({ stats, isStale }) {
  const done = stats.recipients - left(stats);
  const isCounting = !stats.is_complete;
  return html`
    <section class="sending" aria-labelledby="progress-heading">
      <h2 id="progress-heading">${t.progress[stats.state]}</h2>
      ${stats.pause_reason ? html`<p class="notice warn">${pauseWords(stats.pause_reason)}</p>` : nothing}
      <progress aria-labelledby="progress-heading" max=${Math.max(1, stats.recipients)} .value=${isCounting ? 0 : done}></progress>
      <p class="progress-line">
        <span>${isCounting ? t.recipientsCounted(stats.recipients) : t.doneOf(done, stats.recipients)}</span>
        <span class="quiet">${isStale ? t.noAnswer : pace(stats)}</span>
      </p>
      <dl class="figures">
        ${figure(t.figures.sent, stats.deliveries.sent, "good")}
        ${figure(t.figures.failed, stats.deliveries.failed, "bad")}
        ${figure(t.figures.left, left(stats))}
      </dl>
    </section>
  `;
}

function pace(stats) {
  if (stats.state !== "sending") return nothing;
  const rate = t.perSecond(new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(stats.mails_per_second));
  return stats.seconds_left === null ? rate : `${rate} · ${t.timeLeft(span(stats.seconds_left))}`;
}

function span(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const options = { style: "unit", unit, unitDisplay: "long" };
  return new Intl.NumberFormat(locale, { ...options, maximumFractionDigits: 0 }).format(Math.ceil(value));
}

/** "sender_refused: 550 …": a reason of the server's own begins with its name. */
function pauseWords(reason) {
  const [name, ...detail] = reason.split(": ");
  const known = t.pauseReasons[name];
  return known ? [known, ...detail].join(" ") : t.pausedBecause(reason);
}

export const outcome = (stats) => html`
  <section aria-labelledby="outcome-heading">
    <h2 id="outcome-heading">${t.outcome}</h2>
    <dl class="figures">
      ${figure(t.recipients, stats.recipients)}
      ${figure(t.figures.sent, stats.deliveries.sent, "good")}
      ${["failed", "unknown", "skipped", "cancelled"].map((each) =>
        stats.deliveries[each] || each === "failed" ? figure(t.figures[each], stats.deliveries[each], each === "skipped" ? "" : "bad") : nothing)}
      ${figure(t.figures.bounced, stats.bounced)}
      ${figure(t.figures.complained, stats.complained)}
      ${figure(t.figures.unsubscribed, stats.unsubscribed)}
    </dl>
    ${stats.started_at ? html`<p class="quiet">${t.startedAt(moment(stats.started_at))}
      ${stats.finished_at ? t.finishedAt(moment(stats.finished_at)) : nothing}</p>` : nothing}
    ${stats.failures.length ? failureTable(stats.failures) : nothing}
  </section>
`;

const figure = (name, value, mark = "") => html`
  <div class=${value ? mark : ""}><dt>${name}</dt><dd>${count(value)}</dd></div>
`;

const failureTable = (failures) => html`
  <h3>${t.answers}</h3>
  <div class="table-scroll" tabindex="0" role="group" aria-label=${t.answers}>
    <table>
      <thead><tr><th scope="col">${t.state}</th><th scope="col">${t.answer}</th><th scope="col" class="number">${t.mails}</th></tr></thead>
      <tbody>${failures.map((each) => html`
        <tr><td>${t.deliveryStates[each.state]}</td><td>${each.code ?? t.noCode}</td><td class="number">${count(each.count)}</td></tr>
      `)}</tbody>
    </table>
  </div>
`;

/** What can be done in this state; `take` posts a step, `openCancel` asks first. */
export const sendingSteps = ({ stats }, { isBusy, take, retry, openCancel }) => {
  const canRetry = stats.deliveries.failed + stats.deliveries.unknown > 0;
  const step = (label, act, style = "") => html`
    <button type="button" class="button ${style}" aria-disabled=${isBusy} @click=${() => isBusy || act()}>${label}</button>
  `;
  if (stats.state === "cancelled" || (stats.state === "sent" && !canRetry)) return nothing;
  return html`
    <div class="actions">
      ${stats.state === "sending" ? step(t.pause, () => take("pause")) : nothing}
      ${stats.state === "paused" ? step(t.resume, () => take("resume")) : nothing}
      ${canRetry ? step(t.retryFailed(stats.deliveries.failed + stats.deliveries.unknown), retry, "secondary") : nothing}
      ${["sending", "paused"].includes(stats.state) ? step(t.cancelSending, openCancel, "danger") : nothing}
    </div>
  `;
};
