// A place to drop files on, and a button for the rest of us.
import { html } from "../html.js";
import { icon } from "./icons.js";

const ACCEPTED = "video/*,audio/*,image/*,.mxf,.mov,.mts,.ts,.wav,.tif,.tiff";

/** `state` of the zone is kept by the screen: `{ isOver }`. */
export const dropZone = (label, onFiles, { files: state, update }) => html`
  <div
    class="drop ${state.isOver ? "is-dragged-over" : ""}"
    @dragover=${(event) => over(event, state, true, update)}
    @dragleave=${(event) => over(event, state, false, update)}
    @drop=${(event) => {
      over(event, state, false, update);
      onFiles([...event.dataTransfer.files]);
    }}>
    ${icon.upload}
    <label class="drop-label"
      >${label}
      <input
        type="file"
        accept=${ACCEPTED}
        multiple
        @change=${({ target }) => {
          const files = [...target.files];
          target.value = "";
          onFiles(files);
        }} />
    </label>
  </div>
`;

/** Ask for one file, as the zone's button does for several. */
export function pickFile(onFile) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: ACCEPTED });
  input.addEventListener("change", () => onFile(input.files[0]));
  input.click();
}

/** A file that misses the zone would be opened in place of the page. */
export function keepOthersOut(signal) {
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => event.preventDefault(), { signal });
  }
}

function over(event, state, isOver, update) {
  event.preventDefault();
  if (state.isOver === isOver) return;
  state.isOver = isOver;
  update();
}
