"""One subscriber as a row of a CSV file, written and read.

Export and import are each other's inverse: what is written here is read here as it was.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from uuid_utils import uuid7

from app.crypto import Keyring
from app.services import csv_lines, policy
from app.services.consents import email_hash
from app.services.csv_lines import BrokenLine, Line
from app.services.emails import ADDRESS_MAX, LOCAL_PART_MAX, EmailAddress, InvalidEmail, parse_email
from app.services.languages import LOCALES
from app.services.suppressions import Reason

COLUMNS = (
    "email",
    "status",
    "topics",
    "language",
    "frequency",
    "subscribed_at",
    "ended_at",
    "updated_at",
    "suppression_reason",
    "bounce_score",
    "bounced_at",
)
STATES = ("subscribed", "unsubscribed", "suppressed")
FREQUENCIES = ("each", "daily", "weekly")
# An erased address has no row, so nobody can name this reason for one.
REASONS = frozenset(get_args(Reason)) - {"erased"}
DEFAULT_REASON = "editor"
MAX_SCORE = 1_000_000.0
# Where spreadsheets see a formula; with "@", another such sign, no address begins. The apostrophe
# is among them so that taking away the one that was put in front gives the address again.
_FORMULA_STARTS = tuple("=+-'＝＋－")  # noqa: RUF001  # full-width forms count as well
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_SCORE = re.compile(r"\d{1,20}(\.\d{1,20})?(e-?\d{1,3})?", re.ASCII | re.IGNORECASE)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([A-Za-z0-9.-]+)", re.ASCII)


class Row(NamedTuple):
    """A line that can be stored, each value as PostgreSQL reads it; None for what is left open.

    `changed_at` is when this became so, as far as the file tells; else when the file was made.
    """

    id: str
    evidence_id: str
    number: str
    email: str
    email_key: str
    email_hash: str
    state: str
    topics: str | None
    language: str | None
    frequency: str | None
    subscribed_at: str | None
    ended_at: str | None
    changed_at: str
    reason: str | None
    bounce_score: str
    bounced_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How lines are to be read: the header's columns, and what they are checked against."""

    columns: Sequence[str]
    delimiter: str
    topics: frozenset[str]
    # Of lines that name no time, and what no time may be later than.
    as_of: datetime
    now: datetime
    keyring: Keyring


def read(line: Line, reading: Reading) -> Row:
    """A line as a row. Raises `BrokenLine`."""
    values = csv_lines.fields(csv_lines.decode(line), reading.delimiter)
    if len(values) != len(reading.columns):
        expected = len(reading.columns)
        raise BrokenLine("wrong_columns", f"The line has {len(values)} fields, not {expected}")
    if max(map(len, values)) > policy.IMPORT_FIELD_MAX_LENGTH:
        raise BrokenLine("field_too_long", "A field is too long")
    cells = dict(zip(reading.columns, map(str.strip, values), strict=True))
    address = _address(cells["email"])
    state = _one_of(cells.get("status", "subscribed"), STATES, "status")
    times = {name: _time(text, name, reading.now) for name in _TIMES if (text := cells.get(name))}
    return Row(
        id=str(uuid7()),
        evidence_id=str(uuid7()),
        number=str(line.number),
        email=address.typed,
        email_key=address.key,
        email_hash=email_hash(address.key, keyring=reading.keyring).hex(),
        state=state,
        topics=_topics(cells["topics"], reading.topics) if "topics" in cells else None,
        language=_choice(cells.get("language"), LOCALES, "language"),
        frequency=_choice(cells.get("frequency"), FREQUENCIES, "frequency"),
        subscribed_at=_text(times.get("subscribed_at")),
        ended_at=_text(times.get("ended_at")),
        changed_at=_changed_at(state, times, reading.as_of).isoformat(),
        reason=_reason(cells.get("suppression_reason"), state),
        bounce_score=_score(cells.get("bounce_score")),
        bounced_at=_text(times.get("bounced_at")),
    )


def write(rows: Iterable[Mapping[str, Any]], *, with_header: bool = False) -> bytes:
    """Rows with the columns of the file and a list of topics, as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if with_header:
        writer.writerow(COLUMNS)
    writer.writerows([[_cell(row[name]) for name in COLUMNS] for row in rows])
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return " ".join(value)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


_TIMES = ("subscribed_at", "ended_at", "updated_at", "bounced_at")


def _address(text: str) -> EmailAddress:
    if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS):
        text = text[1:]
    plain = _PLAIN_ADDRESS.fullmatch(text)
    if plain is not None and len(plain[1]) <= LOCAL_PART_MAX:
        domain = _ascii_domain(plain[2])
        key = f"{plain[1].lower()}@{domain}"
        if domain is not None and len(key) <= ADDRESS_MAX:
            return EmailAddress(text, key)
    try:
        return parse_email(text)
    except InvalidEmail:
        raise BrokenLine("invalid_email", InvalidEmail.title) from None


@lru_cache(maxsize=50_000)
def _ascii_domain(domain: str) -> str | None:
    """Of most addresses the domain has come before, and checking it again takes longest."""
    try:
        return parse_email(f"a@{domain}").key.removeprefix("a@")
    except InvalidEmail:
        return None


def _one_of(value: str | None, allowed: Sequence[str], column: str) -> str:
    if value is None or value not in allowed:
        raise BrokenLine(f"invalid_{column}", f"{column} is one of {', '.join(allowed)}")
    return value


def _choice(value: str | None, allowed: Sequence[str], column: str) -> str | None:
    return _one_of(value, allowed, column) if value else None


def _topics(text: str, known: frozenset[str]) -> str:
    slugs = set(text.split())
    if not slugs <= known:
        raise BrokenLine("unknown_topic", "A topic is none of this installation's")
    return f"{{{','.join(sorted(slugs))}}}"


def _time(text: str, column: str, now: datetime) -> datetime:
    try:
        time = datetime.fromisoformat(text.upper()) if _TIME.fullmatch(text) else None
    except ValueError:
        time = None
    if time is None or not _EARLIEST <= time <= now:
        message = f"{column} is no time of the past such as 2026-11-23T12:00:00Z"
        raise BrokenLine("invalid_time", message)
    return time.astimezone(UTC)


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _changed_at(state: str, times: Mapping[str, datetime], as_of: datetime) -> datetime:
    """When this became so; `as_of` for an end at a time that the file does not tell."""
    begun, ended, updated = map(times.get, ("subscribed_at", "ended_at", "updated_at"))
    if ended and state == "subscribed":
        raise BrokenLine("contradictory_times", "A subscription that holds has no ended_at")
    if ended and begun and ended < begun:
        raise BrokenLine("contradictory_times", "ended_at is before subscribed_at")
    is_told = updated or (begun if state == "subscribed" else ended)
    return max(filter(None, (begun, ended, updated, None if is_told else as_of)))


def _reason(text: str | None, state: str) -> str | None:
    if state != "suppressed":
        return None
    return _one_of(text or DEFAULT_REASON, sorted(REASONS), "suppression_reason")


def _score(text: str | None) -> str:
    if text and (not _SCORE.fullmatch(text) or float(text) > MAX_SCORE):
        raise BrokenLine("invalid_bounce_score", "bounce_score is a number that is not negative")
    return repr(float(text or 0))
