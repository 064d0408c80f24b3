"""What a mail that came in reports: which recipients failed and why, or that somebody complained.

Whatever a stranger sends is read: nothing in here raises, and what is no report is `None`. Whose
mail it was is not decided here, since anybody can write anything into a report.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.services.bounce_verdicts import (
    PERMANENT_FROM,
    SAYS_FULL,
    SAYS_UNKNOWN,
    STATUS,
    Failure,
    failure_of,
)
from app.services.mime_parts import Headers, Part, embedded, leaves, read_fields, read_message

# Of a report in words alone: its reason stands at the top.
PROSE_READ = 20_000
_STATUS_TYPES = {"message/delivery-status", "message/global-delivery-status"}
_ORIGINAL_TYPES = {
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/global-headers",
}
# "not-spam" is the opposite, "auth-failure" is DMARC's, "virus" and "other" are nobody's wish.
_COMPLAINTS = {"abuse", "fraud", "opt-out", "opt-out-list"}


@dataclass(frozen=True, slots=True)
class Bounce:
    """A mail that was given up. `failures` is empty when a recipient got it, or may still."""

    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Complaint:
    """Somebody took a mail for spam. What of it was sent along tells whom it was for."""

    senders: tuple[str, ...]
    unsubscribe_links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InboundMail:
    """To whom a mail says that it came, the surest first, and what it reports."""

    recipients: tuple[str, ...]
    report: Bounce | Complaint | None


def read(raw: bytes) -> InboundMail:
    """Read a mail as it came, headers and all."""
    message = read_message(raw)
    parts = leaves(message)
    recipients = _addresses(message, "delivered-to", "x-original-to", "to")
    report = _complaint(parts) or _delivery_status(parts) or _in_words(message, parts)
    return InboundMail(recipients, report)


def _complaint(parts: Sequence[Part]) -> Complaint | None:
    """Of a feedback report (ARF, RFC 5965)."""
    reports = [part for part in parts if part.media_type == "message/feedback-report"]
    fields = [group for part in reports for group in read_fields(part.text())]
    if not any(_first(group, "feedback-type").lower() in _COMPLAINTS for group in fields):
        return None
    originals = [embedded(part) for part in parts if part.media_type in _ORIGINAL_TYPES]
    named = [_first(group, "original-mail-from") for group in fields]
    senders = [address for part in originals for address in _addresses(part, "return-path")]
    links = [
        re.sub(r"\s", "", link)
        for part in originals
        for value in part.headers.get("list-unsubscribe", [])
        for link in re.findall(r"<([^<>]*)>", value)
    ]
    return Complaint((*filter(None, named), *senders), tuple(links))


def _delivery_status(parts: Sequence[Part]) -> Bounce | None:
    """Of a delivery status notification (DSN, RFC 3464)."""
    groups = [
        group
        for part in parts
        if part.media_type in _STATUS_TYPES
        for group in read_fields(part.text())
        if {"action", "status", "final-recipient"} & group.keys()
    ]
    if not groups:
        return None
    failures = [failure for failure in map(_failure, groups) if failure]
    # Where an address stands for several, it works as long as one of them does.
    return Bounce(tuple(failures) if len(failures) == len(groups) else ())


def _failure(group: Headers) -> Failure | None:
    """What one recipient's fields say; None unless the mail was given up for that one."""
    found = STATUS.search(_first(group, "status"))
    status = found[0] if found else None
    action = _first(group, "action").lower().partition(" ")[0]
    if action != "failed" and (action or not status or not status.startswith("5")):
        return None
    diagnostic = _first(group, "diagnostic-code")
    kind, _, text = diagnostic.partition(";")
    return failure_of(status, text if re.fullmatch(r"[\w-]+\s*", kind) else diagnostic)


_ROBOT = re.compile(r"\b(?:mailer-daemon|mail-daemon|postmaster)@", re.IGNORECASE)
_IS_NO_FAILURE = re.compile(
    r"\b(?:delay(?:ed)?|warning|out of (?:the )?office|automatic reply)\b", re.IGNORECASE
)
_COPY_BEGINS = re.compile(
    r"^--.*\b(?:original|copy of|returned|headers)\b", re.IGNORECASE | re.MULTILINE
)


def _in_words(message: Part, parts: Sequence[Part]) -> Bounce | None:
    """Of a bounce in words alone, as some servers write it: only if a server seems to write."""
    is_robot = _ROBOT.search(message.header("from")) or "x-failed-recipients" in message.headers
    if not is_robot or _IS_NO_FAILURE.search(message.header("subject")):
        return None
    texts = [part for part in parts if part.media_type in {"text/plain", "text/html"}]
    if not texts:
        return None
    said = _COPY_BEGINS.split(texts[0].text()[:PROSE_READ], maxsplit=1)[0]
    failures = (failure_of(None, line) for line in said.splitlines())
    return next((Bounce((failure,)) for failure in failures if _tells_reason(failure)), None)


def _tells_reason(failure: Failure) -> bool:
    if failure.status:
        return not failure.status.startswith("2")
    is_permanent = failure.code is not None and failure.code >= PERMANENT_FROM
    words = failure.text
    return is_permanent or bool(SAYS_UNKNOWN.search(words) or SAYS_FULL.search(words))


def _first(group: Headers, name: str) -> str:
    return group.get(name, [""])[0]


def _addresses(part: Part, *names: str) -> tuple[str, ...]:
    """Whatever looks like one, in whatever form the headers have it."""
    values = [value for name in names for value in part.headers.get(name, [])]
    words = (word for value in values for word in re.split(r'[\s<>(),;:"]+', value))
    return tuple(word for word in words if "@" in word)
