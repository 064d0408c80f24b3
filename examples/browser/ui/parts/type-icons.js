// What an asset is, drawn in one line like the other icons.
import { svg } from "../html.js";

const line = (path) => svg`
  <svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor"
    stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${path}></path></svg>
`;

export const typeIcon = {
  video: line("M4 5h16v14H4zM10 9v6l5-3z"),
  image: line("M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01"),
  audio: line("M4 10v4M8 7v10M12 4v16M16 7v10M20 10v4"),
  story: line("M5 4h14v16H5zM8 8h8M8 12h8M8 16h5"),
};
