const minutes = (seconds) => (seconds < 90 ? `${seconds} secondes` : `${Math.ceil(seconds / 60)} minutes`);

export default {
  unreachable: "Aucune réponse n’est arrivée. Vérifiez votre connexion et réessayez ; votre saisie est conservée.",
  invalid_credentials: "L’adresse électronique ou le mot de passe est incorrect.",
  account_suspended: "Ce compte est suspendu. Écrivez-nous si vous pensez qu’il s’agit d’une erreur.",
  rate_limited: ({ retryAfter }) => `Trop de tentatives. Veuillez réessayer dans ${minutes(retryAfter ?? 60)}.`,
  login_required: "Veuillez d’abord vous connecter.",
};
