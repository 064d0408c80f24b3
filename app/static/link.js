// Where the links of our mails lead while no browser app serves these pages. Opening the page does
// nothing; the button sends the token of the fragment by POST.

const TEXTS = {
  en: {
    verify: ["Confirm your email address", "Enter the password that you registered with, and your account is ready.", "Create my account"],
    reset: ["Reset your password", "Press the button if you asked for a new password.", "Go on"],
    undo: ["Undo the change of address", "Your account goes back to this address and every device is logged out.", "Give my account back"],
    newPassword: ["Create a new password", "At least 12 characters, no spaces, upper and lower case, a number and a symbol.", "Save the password"],
    currentPassword: "Password", freshPassword: "New password",
    verified: "You have successfully created your account. From now on you can download videos.",
    changed: "Your password has been updated.", back: "Back to the page you were on",
    ask: ["Reset your password", "Enter the email address that you registered with.", "Send me a link"], email: "Email address",
    asked: "A mail is on its way to this address. Its link leads back here.",
    noToken: "This link is not complete. Please open it again from the mail.",
    offline: "That did not work. Please check your connection and try again.",
  },
  fr: {
    verify: ["Confirmez votre adresse électronique", "Saisissez le mot de passe choisi à l’inscription, et votre compte est prêt.", "Créer mon compte"],
    reset: ["Réinitialiser votre mot de passe", "Appuyez sur le bouton si vous avez demandé un nouveau mot de passe.", "Continuer"],
    undo: ["Annuler le changement d’adresse", "Votre compte revient à cette adresse et tous les appareils sont déconnectés.", "Reprendre mon compte"],
    newPassword: ["Créez un nouveau mot de passe", "Au moins 12 caractères, sans espace, avec majuscule, minuscule, chiffre et symbole.", "Enregistrer le mot de passe"],
    currentPassword: "Mot de passe", freshPassword: "Nouveau mot de passe",
    verified: "Votre compte a été créé. Vous pouvez maintenant télécharger des vidéos.",
    changed: "Votre mot de passe a été mis à jour.", back: "Retour à la page où vous étiez",
    ask: ["Réinitialiser votre mot de passe", "Saisissez l’adresse électronique de votre inscription.", "M’envoyer un lien"], email: "Adresse électronique",
    asked: "Un courriel est en route vers cette adresse. Son lien ramène ici.",
    noToken: "Ce lien n’est pas complet. Veuillez l’ouvrir à nouveau depuis le courriel.",
    offline: "Cela n’a pas fonctionné. Vérifiez votre connexion et réessayez.",
  },
};

const language = navigator.language.startsWith("fr") ? "fr" : "en";
const texts = TEXTS[language];
const page = location.pathname.slice(1);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const [title, explanation, form, field, label, input, button, message] = [
  "title", "explanation", "form", "password-field", "password-label", "password", "button", "message",
].map((id) => document.getElementById(id));

// The token must not stay in the address bar, the history or a shared screen.
history.replaceState(null, "", location.pathname);
document.documentElement.lang = language;

let submit = async () => {};

// `password` says what is typed: "current", "new", the "email" instead, or nothing.
function show([heading, text, action], { password, next }) {
  title.textContent = document.title = heading;
  explanation.textContent = text;
  button.textContent = action;
  field.hidden = !password;
  input.required = Boolean(password);
  input.autocomplete = { new: "new-password", email: "email" }[password] ?? "current-password";
  input.type = password === "email" ? "email" : "password";
  label.textContent = { new: texts.freshPassword, email: texts.email }[password] ?? texts.currentPassword;
  input.value = "";
  message.replaceChildren();
  submit = next;
}

function finish(text, link) {
  form.hidden = true;
  explanation.textContent = text;
  message.replaceChildren();
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.textContent = texts.back;
    message.append(anchor);
  }
}

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": language },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) {
    const details = (answer.errors ?? []).map((item) => item.message);
    throw new Error(details.length ? details.join(" ") : answer.title);
  }
  return answer;
}

function askForNewPassword({ reset_token }) {
  show(texts.newPassword, {
    password: "new",
    next: async () => {
      const { return_to } = await post("/v1/auth/password-reset", { reset_token, new_password: input.value });
      finish(texts.changed, return_to);
    },
  });
  input.focus();
}

// Where password managers and people without a link arrive (/.well-known/change-password).
function askForAddress() {
  show(texts.ask, {
    password: "email",
    next: async () => {
      await post("/v1/verification-codes", { email: input.value, purpose: "password_reset" });
      finish(texts.asked);
    },
  });
}

const PAGES = {
  verify: () => show(texts.verify, {
    password: "current",
    next: async () => {
      await post("/v1/verification-codes/verify", { token, password: input.value });
      finish(texts.verified);
    },
  }),
  reset: () => show(texts.reset, {
    next: async () => askForNewPassword(await post("/v1/verification-codes/verify", { token })),
  }),
  undo: () => show(texts.undo, {
    next: async () => askForNewPassword(await post("/v1/account/email/undo", { token })),
  }),
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    await submit();
  } catch (error) {
    message.textContent = error instanceof TypeError ? texts.offline : error.message;
  } finally {
    button.disabled = false;
  }
});

PAGES[page]();
if (!token && page === "reset") {
  askForAddress();
} else if (!token) {
  form.hidden = true;
  message.textContent = texts.noToken;
}
