"""What a refusal says about an address: that it is dead, that it could not be reached, or nothing.

Servers are not of one mind about the codes, so three kinds are told apart by what a mistake would
cost: only what is surely a dead mailbox ends a subscription at once.
"""

import re
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["hard", "soft", "ours"]
# The less an address is to blame, the earlier.
MILDEST_FIRST: tuple[Verdict, ...] = ("ours", "soft", "hard")
TEXT_MAX_LENGTH = 500
PERMANENT_FROM = 500

# By RFC 3463 and the IANA registry of enhanced status codes.
HARD: dict[str, str] = {
    "5.1.1": "no such mailbox",
    "5.1.2": "no such domain",
    "5.1.3": "not an address",
    "5.1.6": "the mailbox has moved away",
    "5.1.10": "the domain takes no mail (RFC 7505); from Exchange, no such recipient",
    "5.2.1": "the mailbox is disabled",
    "5.4.4": "no server for the domain",
    "5.7.13": "the account is disabled",
    "5.7.17": "the mailbox has another owner now",
    "5.7.18": "the domain has another owner now",
}
# It was about this mail or its sender. The next one may be taken, and no address is to blame.
OURS: dict[str, str] = {
    "5.1.7": "the sender's address is malformed",
    "5.1.8": "the sender's domain does not exist",
    "5.2.3": "larger than the mailbox takes",
    "5.3.4": "larger than the server takes",
    "5.4.6": "a mail loop",
}
# Protocol; contents; policy and authentication.
OURS_BY_SUBJECT = ("5.5.", "5.6.", "5.7.")
# Of these only the words tell what is meant.
VAGUE = {None, "5.0.0", "5.1.0", "5.3.0", "5.4.1", "5.5.0"}
SAYS_FULL = re.compile(
    r"\bmailbox (?:is )?full\b|\bover (?:the |its )?quota\b|\bquota (?:is )?exceeded\b"
    r"|\bexceeded (?:the |its )?(?:storage|quota)\b|\binsufficient (?:storage|disk)\b",
    re.IGNORECASE,
)
SAYS_UNKNOWN = re.compile(
    r"\b(?:user|recipient|mailbox|account|address) (?:is )?(?:unknown|not found)\b"
    r"|\b(?:unknown|no such) (?:local )?(?:user|recipient|mailbox|account|address|person)\b"
    r"|\b(?:user|recipient|mailbox|account|address)\b.{0,80}\b(?:does not|doesn't) exist\b"
    r"|\bno mailbox here by that name\b"
    # Exchange Online, whose directory does not know the recipient, and Outlook.com.
    r"|\brecipient address rejected: access denied\b|\bmailbox unavailable \(S\d",
    re.IGNORECASE,
)
_NAMES_SENDER = re.compile(r"\bsender\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one recipient got no mail: RFC 3463's status, SMTP's code, and the server's words."""

    status: str | None
    code: int | None
    text: str


STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_CODE = re.compile(r"(?<![\d.])[45]\d\d(?=[ \t-]+#?[45]\.\d)|(?<![\d.])[45]\d\d(?=[ \t-])")


def failure_of(status: str | None, text: str) -> Failure:
    """Put together what a status and a text say; a status that says nothing gives way."""
    code, in_text = _CODE.search(text), STATUS.search(text)
    if in_text and (status is None or status.endswith(".0.0")):
        status = in_text[0]
    words = " ".join(text.split())[:TEXT_MAX_LENGTH]
    return Failure(status, int(code[0]) if code else None, words)


def judge(failure: Failure) -> Verdict:
    """Whether the address is dead, could not be reached, or is not to blame."""
    status = failure.status
    if status in HARD or _is_unknown_in_words(failure):
        return "hard"
    if status and (status in OURS or status.startswith(OURS_BY_SUBJECT)):
        return "ours"
    return "soft"


def _is_unknown_in_words(failure: Failure) -> bool:
    is_permanent = failure.code is None or failure.code >= PERMANENT_FROM
    if failure.status not in VAGUE or not is_permanent:
        return False
    if SAYS_FULL.search(failure.text) or _NAMES_SENDER.search(failure.text):
        return False
    return SAYS_UNKNOWN.search(failure.text) is not None
