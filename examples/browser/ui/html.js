// Templates, from one place: lit-html escapes what is put in, and keeps what did not change.
export { html, svg, nothing, render } from "./vendor/lit-html/lit-html.js";
export { classMap } from "./vendor/lit-html/directives/class-map.js";
export { ifDefined } from "./vendor/lit-html/directives/if-defined.js";
export { live } from "./vendor/lit-html/directives/live.js";
export { ref } from "./vendor/lit-html/directives/ref.js";
export { repeat } from "./vendor/lit-html/directives/repeat.js";
