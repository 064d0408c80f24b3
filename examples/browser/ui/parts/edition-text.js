// A sent edition, built from its text, which reads like the Markdown it comes from: its HTML is that of a
// mail and not of this page. What is not understood stands as it was written.
import { html, nothing } from "../html.js";

const HEADING = /^(?<words>.+)\n(?<line>=+|-+)$/;
const RULE = /^-{20}$/;
const QUOTE = /^> ?/gm;
const ITEM = /^(?:-|(?<number>\d+)\.) /;
const TABLE = /^.+ \| .+\n-+\n/;
const ASSET = /^https?:\/\/\S+\/assets\/(?<slug>[a-z0-9-]+)$/;
// Words between marks, and addresses; the groups of a split pattern stay in what it gives.
const STRESSED = /(?<!\w)(\*\S(?:[^*\n]*\S)?\*|_\S(?:[^_\n]*\S)?_)(?!\w)/;
const LINK = /((?:https?:\/\/|mailto:)[^\s()<>]+[^\s()<>.,;:!?])/;
const MARKED = new RegExp(`${STRESSED.source}|${LINK.source}`);

/** `posters` has those of the assets that stand in it, by slug. */
export const editionText = (text, posters) => blocksOf(text).map((block) => drawn(block, posters));

/** The slugs of the assets that an edition shows. */
export const assetsOf = (text) => blocksOf(text).map(slugOf).filter(Boolean);

const blocksOf = (text) => text.split(/\n{2,}/).map((block) => block.trimEnd()).filter(Boolean);
const slugOf = (block) => ASSET.exec(block.split("\n").at(-1))?.groups.slug;

function drawn(block, posters) {
  const slug = slugOf(block);
  if (slug) return assetCard(block.split("\n"), slug, posters.get(slug));
  if (RULE.test(block)) return html`<hr>`;
  if (HEADING.test(block)) return heading(HEADING.exec(block).groups);
  if (TABLE.test(block)) return table(block.split("\n"));
  if (block.startsWith(">")) return html`<blockquote>${editionText(block.replace(QUOTE, ""), posters)}</blockquote>`;
  if (ITEM.test(block)) return list(block.split("\n"));
  return html`<p class="as-written">${inline(block)}</p>`;
}

const heading = ({ words, line }) =>
  line.startsWith("=") ? html`<h2>${inline(words)}</h2>` : html`<h3>${inline(words)}</h3>`;

function list(lines) {
  const items = [];
  for (const line of lines) {
    if (ITEM.test(line)) items.push([line.replace(ITEM, "")]);
    else items.at(-1).push(line.trimStart());
  }
  const { number } = ITEM.exec(lines[0]).groups;
  return number ? html`<ol start=${number}>${items.map(item)}</ol>` : html`<ul>${items.map(item)}</ul>`;
}

function item(lines) {
  const nested = lines.findIndex((line) => ITEM.test(line));
  const own = nested < 0 ? lines : lines.slice(0, nested);
  return html`<li>${inline(own.join("\n"))}${nested < 0 ? nothing : list(lines.slice(nested))}</li>`;
}

const table = ([head, , ...rows]) => html`
  <div class="table-scroll" tabindex="0">
    <table>
      <thead><tr>${cells(head).map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${cells(row).map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
    </table>
  </div>
`;

const cells = (row) => row.split(" | ").map(inline);

// An asset's lines: its title, then its summary where it has one, then its address.
const assetCard = ([title, ...others], slug, poster) => html`
  <article class="panel edition-asset">
    ${poster ? html`<img src=${poster.url} alt="" width=${poster.width} height=${poster.height} loading="lazy">` : nothing}
    <div>
      <h3><a href="/assets/${slug}">${title}</a></h3>
      ${others.slice(0, -1).map((line) => html`<p>${line}</p>`)}
    </div>
  </article>
`;

const inline = (text) => text.split(MARKED).filter(Boolean).map(piece);

function piece(text) {
  if (/^(https?|mailto):/.test(text)) return html`<a href=${text}>${text.replace(/^mailto:/, "")}</a>`;
  if (/^\*.+\*$/.test(text)) return html`<strong>${text.slice(1, -1)}</strong>`;
  return /^_.+_$/.test(text) ? html`<em>${text.slice(1, -1)}</em>` : text;
}
