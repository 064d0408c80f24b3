const minutes = (seconds) => (seconds < 90 ? `${seconds} secondes` : `${Math.ceil(seconds / 60)} minutes`);

export default {
  unreachable: "Aucune réponse n’est arrivée. Vérifiez votre connexion et réessayez ; votre saisie est conservée.",
  unknown: "Une erreur s’est produite. Veuillez réessayer dans un instant.",
  invalid_credentials: "L’adresse électronique ou le mot de passe est incorrect.",
  account_suspended: "Ce compte est suspendu. Écrivez-nous si vous pensez qu’il s’agit d’une erreur.",
  rate_limited: ({ retryAfter }) => `Trop de tentatives. Veuillez réessayer dans ${minutes(retryAfter ?? 60)}.`,
  login_required: "Veuillez d’abord vous connecter.",

  // Compte
  invalid_input: "Veuillez vérifier ce qui est signalé ci-dessous.",
  invalid_email: "Nous ne pouvons pas écrire à cette adresse. Veuillez la vérifier.",
  string_too_short: "Veuillez remplir ce champ.",
  missing: "Veuillez remplir ce champ.",
  wrong_password: "Ce mot de passe est incorrect.",
  password_policy: "Ce mot de passe ne respecte pas encore toutes les règles.",
  password_too_short: ({ min_length: length }) => `Au moins ${length} caractères`,
  password_too_long: ({ max_length: length }) => `Au plus ${length} caractères`,
  password_has_space: "Pas d’espace",
  password_needs_uppercase: "Une lettre majuscule",
  password_needs_lowercase: "Une lettre minuscule",
  password_needs_number: "Un chiffre",
  password_needs_symbol: "Un symbole, par exemple - ! ? # ou %",
  password_too_common: "Difficile à deviner : aucun que beaucoup utilisent",
  password_contains_email: "Sans votre adresse électronique",
  code_incomplete: "Veuillez saisir les huit chiffres.",
  code_refused: "Ce code est incorrect ou ne fonctionne plus. Veuillez le comparer au message le plus récent.",
  code_dead: "Ce code ne fonctionne plus : il y a eu trop d’essais erronés. Veuillez en demander un nouveau.",
  code_cooldown: ({ retryAfter }) => `Un code vient d’être envoyé. Un autre est possible dans ${minutes(retryAfter ?? 60)}.`,
  flow_not_found: "Nous n’attendons plus ce code. Veuillez recommencer.",
  link_over: "Ce lien ne fonctionne plus : il a expiré, a servi, ou un plus récent a été envoyé.",
  link_refused: "Ce n’est pas le mot de passe choisi à l’inscription, ou le lien ne fonctionne plus.",
  reset_token_refused: "Le délai est passé, ou c’est déjà fait. Veuillez recommencer.",
  undo_refused: "Ce changement d’adresse ne peut plus être annulé.",
  too_many_failed_logins: ({ retryAfter }) => `Il y a eu trop d’essais erronés. Veuillez réessayer dans ${minutes(retryAfter ?? 60)}.`,
  busy: "De très nombreuses personnes se connectent en ce moment. Veuillez réessayer dans un instant.",
  invalid_token: "Votre session est terminée. Veuillez vous reconnecter.",
  // Lettre d’information
  confirmation_refused: "Ce lien n’est pas complet ou a expiré. Abonnez-vous à nouveau pour en recevoir un autre.",
  unknown_topic: "L’un de ces thèmes ne peut plus être choisi. Veuillez recharger la page.",

  // Clés
  too_many_api_keys: "Vous avez autant de clés qu’un compte peut en avoir. Révoquez-en une dont vous n’avez pas besoin.",
  api_key_ended: "Cette clé a été révoquée ou a expiré. Créez-en une autre.",
  idempotency_secret_shown:
    "C’est fait, mais le secret s’est perdu en route et ne peut pas être affiché à nouveau. Fermez cette fenêtre : la clé est dans la liste. Révoquez-la, ou donnez-lui un nouveau secret.",
  // editions
  edition_started: "Cette édition est partie, elle reste donc telle quelle.",
  edition_state: "Cette édition est désormais dans un autre état, qui ne le permet pas.",
  in_the_past: "Veuillez choisir un moment à venir.",
  topic_exists: "Un thème de ce nom existe déjà.",
};
