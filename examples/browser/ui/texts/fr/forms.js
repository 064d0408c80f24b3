export default {
  cancel: "Annuler",
  show: "Afficher",
  hide: "Masquer",
  optional: "facultatif",
};
