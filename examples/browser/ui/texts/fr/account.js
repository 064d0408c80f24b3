export default {
  logIn: "Se connecter",
  email: "Adresse électronique",
  password: "Mot de passe",
  forgotPassword: "Mot de passe oublié ?",
  noAccount: "Pas encore de compte ?",
  createAccount: "Créer un compte",
};
