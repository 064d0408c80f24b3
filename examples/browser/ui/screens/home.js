import { call } from "../api.js";
import { html } from "../html.js";

export default async function home({ signal }) {
  const { items } = await call("/v1/assets?limit=12", { signed: false, signal });
  const view = () => html`<h1 tabindex="-1">Latest</h1><ul>${items.map((each) => html`<li>${each.title}</li>`)}</ul>`;
  return { title: "", view };
}
