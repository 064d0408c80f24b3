// Where one is logged in, and how to log out there.
import { call } from "../api.js";
import { explain } from "../forms.js";
import { ago, moment } from "../format.js";
import { html, repeat } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("account");

// Browsers also say the names of those whose pages they want; the first found is their own.
const BROWSERS = [
  [/Edg/, "Edge"], [/OPR/, "Opera"], [/Firefox|FxiOS/, "Firefox"], [/Chrome|CriOS/, "Chrome"], [/Safari/, "Safari"],
];
const SYSTEMS = [
  [/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"],
  [/CrOS/, "ChromeOS"], [/Linux/, "Linux"],
];

const nameIn = (list, text) => list.find(([pattern]) => pattern.test(text))?.[1];

function deviceName({ device_name: name, user_agent: agent }) {
  const [browser, system] = [nameIn(BROWSERS, agent ?? ""), nameIn(SYSTEMS, agent ?? "")];
  return name ?? (browser && system ? t.browserOn(browser, system) : agent?.slice(0, 80) || t.unknownDevice);
}

/** `items` are the sessions; `load()` asks for them again. */
export function devices({ items, load, update }) {
  const list = { items, isBusy: false, said: null };

  async function end(path, said) {
    if (list.isBusy) return;
    Object.assign(list, { isBusy: true, said: null });
    update();
    try {
      await call(path, { method: "DELETE" });
      Object.assign(list, { items: (await load()).items, said: { style: "good", text: said } });
    } catch (error) {
      list.said = { style: "warn", text: explain(error) };
    }
    list.isBusy = false;
    update();
    document.getElementById("devices").focus();
  }

  const refresh = async () => Object.assign(list, { items: (await load()).items }) && update();
  return { refresh, view: () => devicesView(list, end) };
}

const devicesView = (list, end) => html`
  <section aria-labelledby="devices">
    <h2 id="devices" tabindex="-1">${t.devices}</h2>
    <p>${t.devicesDetail}</p>
    <div role="status">${list.said ? notice(list.said) : ""}</div>
    <ul class="rows">
      ${repeat(list.items, ({ id }) => id, (each) => deviceRow(each, list.isBusy, end))}
    </ul>
    ${list.items.length > 1 ? endOthers(list, end) : html`<p class="quiet">${t.noOthers}</p>`}
  </section>
`;

const notice = ({ style, text }) => html`<p class="notice ${style}">${text}</p>`;

const endOthers = (list, end) => html`
  <button type="button" class="button danger" aria-disabled=${list.isBusy}
    @click=${() => end("/v1/auth/sessions", t.othersEnded)}>${t.endOthers}</button>
`;

function deviceRow(session, isBusy, end) {
  const name = deviceName(session);
  const times = [t.lastUsed(ago(session.last_used_at)), t.since(moment(session.created_at))];
  const leave = () => end(`/v1/auth/sessions/${session.id}`, t.deviceEnded(name));
  return html`
    <li>
      <div>
        <strong>${name}</strong> ${session.is_current ? html`<span class="badge good">${t.thisDevice}</span>` : ""}
        <div class="quiet">${[...times, session.network].join(" · ")}</div>
      </div>
      ${session.is_current ? "" : html`
        <button type="button" class="button secondary small" aria-disabled=${isBusy}
          aria-label="${t.endDevice}: ${name}" @click=${leave}>${t.endDevice}</button>
      `}
    </li>
  `;
}
