export default {
  show: "Show",
  hide: "Hide",
  optional: "optional",
};
