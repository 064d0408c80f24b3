import { html } from "../html.js";
import { texts } from "../texts.js";

const t = await texts("common");

export default async function absent() {
  const view = () => html`
    <h1 tabindex="-1">${t.absent}</h1>
    <p>${t.absentDetail}</p>
    <p><a href="/">${t.toCatalogue}</a></p>
  `;
  return { title: t.absent, view };
}
