// What a screen shows that could not be loaded: what happened, and a way to try again.
import { Problem, Unreachable } from "../api.js";
import { explain } from "../forms.js";
import { html } from "../html.js";
import { reload } from "../router.js";
import { resume } from "../session.js";
import { texts } from "../texts.js";

const t = await texts("common");

export default function failure(error) {
  const isAbsent = error.status === 404;
  const isOfTheApi = error instanceof Problem || error instanceof Unreachable;
  if (!isOfTheApi) console.error(error);
  const title = isAbsent ? t.absent : t.failed;
  const detail = isAbsent ? t.absentDetail : isOfTheApi ? explain(error) : t.failedDetail;
  const view = () => html`
    <h1 tabindex="-1">${title}</h1>
    <p>${detail}</p>
    <div class="actions">
      <button class="button" @click=${isOfTheApi ? tryAgain : () => location.reload()}>${t.tryAgain}</button>
      <a href="/">${t.toCatalogue}</a>
    </div>
  `;
  return { title, view };
}

const tryAgain = () => resume().catch(() => {}).finally(reload);
