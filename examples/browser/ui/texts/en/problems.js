// By the stable `code` of an error (docs: openapi.json). What is not here is shown as the API says it.
const minutes = (seconds) => (seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`);

export default {
  unreachable: "No answer came. Please check your connection and try again; what you typed is still here.",
  unknown: "Something went wrong here. Please try again in a moment.",
  invalid_credentials: "The email address or the password is not right.",
  account_suspended: "This account is suspended. Please write to us if you think that is a mistake.",
  rate_limited: ({ retryAfter }) => `That was too often. Please try again in ${minutes(retryAfter ?? 60)}.`,
  login_required: "Please log in first.",

  // Account
  invalid_input: "Please check what is marked below.",
  invalid_email: "We can’t write to this address. Please check it.",
  string_too_short: "Please fill this in.",
  missing: "Please fill this in.",
  wrong_password: "This password is not right.",
  password_policy: "This password does not meet all the rules yet.",
  password_too_short: ({ min_length: length }) => `At least ${length} characters`,
  password_too_long: ({ max_length: length }) => `At most ${length} characters`,
  password_has_space: "No spaces",
  password_needs_uppercase: "An upper-case letter",
  password_needs_lowercase: "A lower-case letter",
  password_needs_number: "A number",
  password_needs_symbol: "A symbol, such as - ! ? # or %",
  password_too_common: "Not one that many people use",
  password_contains_email: "Without your email address",
  code_incomplete: "Please enter all eight digits.",
  code_refused: "This code is not right, or no longer works. Please compare it with the newest mail.",
  code_dead: "This code no longer works: there were too many wrong tries. Please have a new one sent.",
  code_cooldown: ({ retryAfter }) => `A code was sent a short while ago. Another is possible in ${minutes(retryAfter ?? 60)}.`,
  flow_not_found: "We no longer wait for this code. Please start again.",
  link_over: "This link no longer works: it has expired, was used, or a newer one was sent.",
  link_refused: "The password is not the one you registered with, or the link no longer works.",
  reset_token_refused: "The time for this is over, or it was done already. Please start again.",
  undo_refused: "This change of address can’t be undone any more.",
  too_many_failed_logins: ({ retryAfter }) => `There were too many wrong tries. Please try again in ${minutes(retryAfter ?? 60)}.`,
  busy: "Very many people want to log in right now. Please try again in a moment.",
  invalid_token: "Your session has ended. Please log in again.",
  // Newsletter
  confirmation_refused: "This link is not complete or has expired. Subscribe again to get a new one.",
  unknown_topic: "One of these topics can’t be chosen any more. Please load the page again.",

  // Downloads
  download_elsewhere: "Another window is downloading this file.",
  file_replaced: "This file has been replaced by another. Please load the page again.",

  // Keys
  too_many_api_keys: "You have as many keys as an account may have. Revoke one that you don’t need.",
  api_key_ended: "This key has been revoked or has expired. Make another one.",
  idempotency_secret_shown:
    "This was done, but its secret was lost on the way and can’t be shown again. Close this window: the key is in the list. Revoke it, or give it a new secret.",
  // Editions
  edition_started: "This edition has started, so it stays as it is.",
  edition_state: "This edition is in another state by now, which does not allow that.",
  in_the_past: "Please choose a time that is still to come.",
  topic_exists: "There is a topic of that name already.",
  // The desk
  desk_undecided: "Somebody else has changed the same. Please choose which text stays, then save again.",
  desk_file_lost:
    "This file can’t be read any more: it was moved, deleted or changed. Please choose it again.",
  desk_no_time: "Please say when.",
  precondition_failed: "Somebody else has changed it meanwhile. Please look again, and repeat it.",
  slug_taken: "Another asset has this address.",
  asset_published: "That is not possible any more, once an asset was public.",
  asset_takes_no_files: "A withdrawn asset takes no files.",
  asset_not_published: "Only what is public can be withdrawn.",
  rights_ended: "The right to offer it ends before that.",
  ends_before_it_starts: "This ends before it starts.",
  invalid_timecode: "This is no timecode of this file, such as 00:01:05:12.",
  coordinates_incomplete: "Latitude and longitude belong together.",
  unknown_asset: "There is no such asset.",
  unknown_collection: "There is no such series or event.",
  too_many_captions: "That is more languages than an asset can have.",
  too_many_uploads: "Too many uploads are open. Please finish or cancel one.",
  upload_too_large: "This file is larger than the server takes.",
  upload_quota_exceeded: "Your open uploads are too large together. Please finish or cancel one.",
  upload_expired: "This upload is too old to go on. Please start it again.",
  upload_locked: "Another window is sending this file.",
  upload_store_full: "There is no room at the moment. It goes on by itself.",
  upload_store_unavailable: "The store does not answer. It goes on by itself.",
};
