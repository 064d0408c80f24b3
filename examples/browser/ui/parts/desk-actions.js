// What an editor does with an asset as a whole: publish, schedule, withdraw, delete, remove a file.
import { Problem } from "../api.js";
import { refuse } from "../forms.js";
import { say } from "../layout.js";
import { go } from "../router.js";
import { texts } from "../texts.js";
import { deleteQuestion, publishQuestion, removeFileQuestion, withdrawQuestion } from "./desk-dialogs.js";
import { ofThisVersion, remove, step } from "./desk-editing.js";
import { createDialog } from "./dialog.js";

const t = await texts("desk");

/** `parts` are those of the screen; gives its dialogs, and its actions by name. */
export function createActions(parts) {
  const { desk, editing } = parts;
  const dialogs = createDialogs(parts);
  desk.removeFile = (rendition) => dialogs.removeFile.ask(rendition);
  desk.attempt = (work) => attempt(parts, work);
  const unschedule = async () => {
    await step(editing, "PATCH", "", { publish_at: null });
    afterwards(parts, t.status.draft);
  };
  const actions = {
    publish: () => dialogs.publish.ask(),
    withdraw: () => dialogs.withdraw.ask(),
    remove: () => dialogs.remove.ask(),
    preview: () => document.getElementById("preview-dialog").showModal(),
    unschedule: () => attempt(parts, unschedule),
  };
  return { dialogs, actions };
}

const createDialogs = (parts) => ({
  publish: createDialog(parts.update, {
    draw: (_, form) => publishQuestion(form, parts),
    send: () => publish(parts),
  }),
  withdraw: createDialog(parts.update, {
    draw: (_, form) => withdrawQuestion(form),
    async send({ reason }) {
      await step(parts.editing, "POST", "/withdraw", { reason });
      afterwards(parts, t.status.withdrawn);
    },
  }),
  remove: createDialog(parts.update, {
    draw: () => deleteQuestion(parts.editing.asset),
    async send() {
      await remove(parts.editing);
      parts.editing.discard();
      go("/desk");
    },
  }),
  removeFile: createDialog(parts.update, {
    draw: (rendition) => removeFileQuestion(rendition, parts.editing.asset),
    send: (_, rendition) => removeFile(parts, rendition),
  }),
});

async function publish(parts) {
  const { editing, when } = parts;
  if (when.isLater) checkTime(when.at);
  await editing.save();
  const body = when.isLater ? { publish_at: new Date(when.at).toISOString() } : {};
  await step(editing, "POST", "/publish", body);
  afterwards(parts, t.status[editing.asset.status]);
}

async function removeFile(parts, { name }) {
  await ofThisVersion(parts.editing, `/renditions/${name}`, { method: "DELETE" });
  await Promise.all([parts.editing.refresh(), parts.desk.look()]);
  afterwards(parts, t.fileRemoved);
}

function afterwards({ history }, said) {
  say(said);
  history.renew();
  setTimeout(keepFocus);
}

// The button that was pressed may be gone, and with it the place on the page.
function keepFocus() {
  if (document.activeElement === document.body) document.getElementById("life-title").focus();
}

// With a time that has passed, the API would publish at once.
function checkTime(at) {
  const code = !at ? "desk_no_time" : new Date(at) <= Date.now() ? "in_the_past" : null;
  if (code) throw new Problem(422, { code, errors: [{ pointer: "/publish_at", code }] });
}

/** What has no form of its own says beside the state what went wrong. */
async function attempt({ problem, update }, work) {
  Object.assign(problem, { error: null, refused: new Map() });
  try {
    await work();
  } catch (error) {
    refuse(problem, error);
  }
  update();
}
