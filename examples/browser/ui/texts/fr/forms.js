export default {
  cancel: "Annuler",
  show: "Afficher",
  hide: "Masquer",
  showWhat: (label) => `Afficher : ${label}`,
  hideWhat: (label) => `Masquer : ${label}`,
  optional: "facultatif",
};
