// Drawings of one line, 24 units wide, in the colour of the text. They only go with words.
import { svg } from "../html.js";

const line = (path) => svg`<svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${path}></path></svg>`;

export const icon = {
  search: line("M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4"),
  download: line("M12 4v11m-5-5 5 5 5-5M5 20h14"),
  check: line("M5 12.5 10 17 19 7"),
  cross: line("M6 6l12 12M18 6 6 18"),
  dot: line("M12 12h.01"),
  play: line("M8 5v14l11-7z"),
  pause: line("M8 5v14M16 5v14"),
  mail: line("M3 6h18v12H3zM3 7l9 6 9-6"),
  eye: line("M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z"),
  key: line("M14 10a4 4 0 1 0-2.8 3.8L14 16.5V19h2.5l.5-.5V16h2.5v-2.5L14 10z"),
  plus: line("M12 5v14M5 12h14"),
  upload: line("M12 20V9m-5 5 5-5 5 5M5 4h14"),
  clock: line("M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 3"),
  image: line("M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6M15.5 9h.01"),
  audio: line("M5 10v4M9 7v10M13 4v16M17 8v8M21 11v2"),
  story: line("M5 4h14v16H5zM9 9h6M9 13h6M9 17h3"),
  up: line("M12 19V6m-6 6 6-6 6 6"),
  back: line("M15 5l-7 7 7 7"),
};
