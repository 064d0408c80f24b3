export default {
  logIn: "Log in",
  email: "Email address",
  password: "Password",
  forgotPassword: "Forgot your password?",
  noAccount: "No account yet?",
  createAccount: "Create an account",
};
