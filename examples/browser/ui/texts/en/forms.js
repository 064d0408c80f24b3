export default {
  cancel: "Cancel",
  show: "Show",
  hide: "Hide",
  optional: "optional",
};
