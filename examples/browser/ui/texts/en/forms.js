export default {
  cancel: "Cancel",
  show: "Show",
  hide: "Hide",
  showWhat: (label) => `Show: ${label}`,
  hideWhat: (label) => `Hide: ${label}`,
  optional: "optional",
};
