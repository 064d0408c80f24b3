// What an editor does with an asset as a whole: publish, schedule, withdraw, delete, remove a file.
import { Problem } from "../api.js";
import { refuse } from "../forms.js";
import { say } from "../layout.js";
import { go } from "../router.js";
import { texts } from "../texts.js";
import { createDialog } from "./desk-dialogs.js";
import { ofThisVersion, remove, step } from "./desk-editing.js";

const t = await texts("desk");

/** `parts` are those of the screen; gives its dialogs, and its actions by name. */
export function createActions(parts) {
  const { desk, editing, history, when, update } = parts;
  const afterwards = (said) => {
    say(said);
    history.renew();
    setTimeout(keepFocus);
  };
  const dialogs = {
    publish: createDialog(update, "publish-dialog", async () => {
      if (when.isLater) checkTime(when.at);
      await editing.save();
      await step(
        editing,
        "POST",
        "/publish",
        when.isLater ? { publish_at: new Date(when.at).toISOString() } : {},
      );
      afterwards(t.status[editing.asset.status]);
    }),
    withdraw: createDialog(update, "withdraw-dialog", async ({ reason }) => {
      await step(editing, "POST", "/withdraw", { reason });
      afterwards(t.status.withdrawn);
    }),
    remove: createDialog(update, "delete-dialog", async () => {
      await remove(editing);
      editing.discard();
      go("/desk");
    }),
    removeFile: createDialog(update, "remove-file-dialog", async () => {
      await ofThisVersion(editing, `/renditions/${desk.toRemove.name}`, { method: "DELETE" });
      await Promise.all([editing.refresh(), desk.look()]);
      afterwards(t.fileRemoved);
    }),
  };
  desk.removeFile = (rendition) => {
    desk.toRemove = rendition;
    dialogs.removeFile.show();
  };
  desk.attempt = (work) => attempt(parts, work);
  const actions = {
    publish: dialogs.publish.show,
    withdraw: dialogs.withdraw.show,
    remove: dialogs.remove.show,
    preview: () => document.getElementById("preview-dialog").showModal(),
    unschedule: () =>
      attempt(parts, () =>
        step(editing, "PATCH", "", { publish_at: null }).then(() => afterwards(t.status.draft)),
      ),
  };
  return { dialogs, actions };
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
