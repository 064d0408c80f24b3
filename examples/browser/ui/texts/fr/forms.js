export default {
  show: "Afficher",
  hide: "Masquer",
  optional: "facultatif",
};
