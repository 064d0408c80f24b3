from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from app.schemas.asset_editing import LongText
from app.schemas.base import Answer, Body, Line, Time, is_one_line
from app.schemas.newsletter import Frequency, TopicSlug
from app.services import policy
from app.services.delivery_ledger import LedgerState
from app.services.languages import Locale

Language = Locale
State = Literal["draft", "scheduled", "sending", "paused", "sent", "cancelled"]
Markdown = Annotated[LongText, StringConstraints(max_length=policy.EDITION_BODY_MAX_LENGTH)]
Preheader = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=policy.EDITION_PREHEADER_MAX_LENGTH
    ),
    AfterValidator(is_one_line),
]


class EditionText(Body):
    """An edition in one language. A draft may lack some of it."""

    subject: Line | None = None
    preheader: Preheader | None = None
    body: Markdown | None = None


class EditionPatch(Body):
    """A JSON merge patch (RFC 7396): null takes a field away, objects are merged."""

    name: Line | None = None
    topics: Annotated[list[TopicSlug], Field(max_length=100)] | None = None
    translations: dict[Language, EditionText | None] | None = None
    language: Language | None = None
    from_name: Annotated[Line, StringConstraints(max_length=100)] | None = None
    in_archive: bool | None = None

    def sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class EditionBody(EditionPatch):
    """A new draft. Without topics it is for everybody who gets each edition."""

    name: Line


class ScheduleBody(Body):
    send_at: Time


class PauseBody(Body):
    reason: Line | None = None


class EditionTextAnswer(Answer):
    subject: str | None = None
    preheader: str | None = None
    body: str | None = None


class EditionSummary(Answer):
    id: UUID
    number: int
    kind: Literal["edition", "digest"]
    frequency: Frequency
    topics: list[str]
    name: str
    language: str
    # In the edition's own language.
    subject: str | None = None
    state: State
    pause_reason: str | None
    send_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    # Everybody in the ledger; while it is still being written, so far.
    recipients: int
    version: int
    created_at: datetime
    updated_at: datetime


class EditionAnswer(EditionSummary):
    translations: dict[str, EditionTextAnswer]
    from_name: str | None
    in_archive: bool
    created_by: UUID | None


class EditionList(Answer):
    items: list[EditionSummary]
    next_cursor: str | None


class RetryAnswer(Answer):
    # How many mails are tried again.
    retried: int


class DeliveryCounts(Answer):
    """Of each recipient's mail, what has become of it by now."""

    pending: int = 0
    # On the wire: its contents have left, and no answer has come yet.
    sending: int = 0
    # Refused for now, or waiting for its recipient's domain; it is tried again by itself.
    deferred: int = 0
    sent: int = 0
    failed: int = 0
    # It may have arrived or not; nobody can tell.
    unknown: int = 0
    # Its recipient had left by the time of sending.
    skipped: int = 0
    # Held back, since the edition was cancelled.
    cancelled: int = 0


class FailureAnswer(Answer):
    state: LedgerState
    code: str | None
    count: int


class EditionStats(Answer):
    state: State
    # How many would get it if it started now; null once it has started.
    audience: int | None
    recipients: int
    # Whether all recipients are known: the ledger is written while the first mails leave.
    is_complete: bool
    deliveries: DeliveryCounts
    bounced: int
    complained: int
    unsubscribed: int
    failures: list[FailureAnswer]
    mails_per_second: float
    seconds_left: int | None
    pause_reason: str | None
    started_at: datetime | None
    finished_at: datetime | None


class DeliveryAnswer(Answer):
    subscriber_id: UUID
    # Null where it was erased.
    email: str | None
    state: LedgerState
    attempts: int
    # How often nobody could tell whether it had arrived.
    doubts: int
    # The last answer: SMTP's code, the enhanced one (RFC 3463), and its text without addresses.
    smtp_code: int | None
    smtp_status: str | None
    reason: str | None
    next_try_at: datetime | None
    first_tried_at: datetime | None
    finished_at: datetime | None
    bounced_at: datetime | None
    complained_at: datetime | None
    unsubscribed_at: datetime | None


class DeliveryList(Answer):
    items: list[DeliveryAnswer]
    next_cursor: str | None
