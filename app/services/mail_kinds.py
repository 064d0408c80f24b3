"""The kinds of mail; templates and languages of each are found by its name."""

from typing import Literal, get_args

KindWithCode = Literal["registration_code", "password_reset_code", "email_change_code"]
Notice = Literal[
    "account_exists",
    "no_account",
    "email_taken",
    "email_changed",
    "password_changed",
    "sessions_ended",
    "account_deleted",
    "api_key_created",
    "api_key_rotated",
    "newsletter_confirm",
    "newsletter_already",
    "saved_search_matches",
    "webhook_created",
    "webhook_disabled",
]
# Its params are the whole mail and its envelope sender, instead of what a template needs.
FinishedKind = Literal["edition_test"]
MailKind = Literal[KindWithCode, Notice, FinishedKind]
KINDS_WITH_CODE: frozenset[str] = frozenset(get_args(KindWithCode))
FINISHED_KIND: FinishedKind = "edition_test"
