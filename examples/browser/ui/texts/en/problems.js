// By the stable `code` of an error (docs: openapi.json). What is not here is shown as the API says it.
const minutes = (seconds) => (seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`);

export default {
  unreachable: "No answer came. Please check your connection and try again; what you typed is still here.",
  invalid_credentials: "The email address or the password is not right.",
  account_suspended: "This account is suspended. Please write to us if you think that is a mistake.",
  rate_limited: ({ retryAfter }) => `That was too often. Please try again in ${minutes(retryAfter ?? 60)}.`,
  login_required: "Please log in first.",
};
