// What a screen shows that could not be loaded: what happened, and a way to try again.
import { Problem } from "../api.js";
import { explain } from "../forms.js";
import { html } from "../html.js";
import { reload } from "../router.js";
import { texts } from "../texts.js";

const t = await texts("common");

export default function failure(error) {
  if (!(error instanceof Problem)) console.error(error);
  const title = error.status === 404 ? t.absent : t.failed;
  const view = () => html`
    <h1 tabindex="-1">${title}</h1>
    <p>${error.status === 404 ? t.absentDetail : words(error)}</p>
    <div class="actions">
      <button class="button" @click=${reload}>${t.tryAgain}</button>
      <a href="/">${t.toCatalogue}</a>
    </div>
  `;
  return { title, view };
}

function words(error) {
  try {
    return explain(error);
  } catch {
    return t.failedDetail; // a fault of this page's own
  }
}
