from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from app.schemas.base import Answer, Body, Line
from app.services.webhook_messages import Event

WebhookState = Literal["pending", "active", "paused", "disabled"]
DeliveryState = Literal["pending", "delivered", "failed"]
Sequence = Annotated[int, Field(ge=0)]
# Whatever is wrong with it is said by what checks it; this bounds the work.
Url = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Events = Annotated[
    list[Event],
    Field(min_length=1, max_length=20, examples=[["asset.created", "asset.withdrawn"]]),
]


class WebhookPatch(Body):
    """A JSON merge patch (RFC 7396). A new URL is sent a challenge, and nothing else before."""

    url: Url | None = None
    events: Events | None = None
    description: Line | None = None
    state: Literal["active", "paused"] | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        for name in ("url", "events", "state"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} can't be taken away")
        return self

    def sent(self) -> dict[str, Any]:
        sent = self.model_dump(exclude_unset=True)
        if self.events is not None:
            sent["events"] = list(dict.fromkeys(self.events))
        return sent


class WebhookBody(Body):
    url: Url
    events: Events
    description: Line | None = None

    def sent(self) -> dict[str, Any]:
        return {**self.model_dump(), "events": list(dict.fromkeys(self.events))}


class MissedChanges(Answer):
    """What was not sent while the endpoint was away; a replay takes these very fields."""

    after_sequence: int
    until_sequence: int


class WebhookAnswer(Answer):
    id: UUID
    url: str
    description: str | None
    events: list[Event]
    state: WebhookState
    # `failing`, after five days without a success, or `gone`, after a 410.
    disabled_reason: Literal["failing", "gone"] | None
    # For signatures of the kind v1a.
    public_key: str = Field(examples=["whpk_5d3qkPVOxiUDnXDpMhQmKBnMnTnkNFGvVyXAEqkQ1nY="])
    previous_secret_ends_at: datetime | None
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None
    last_success_at: datetime | None
    # The changes up to this one are sent, or on their way.
    read_until: int
    missed: MissedChanges | None


class WebhookWithSecret(WebhookAnswer):
    # Shown this once. For signatures of the kind v1.
    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw1c0jCZ8LXk8="])


class WebhookList(Answer):
    items: list[WebhookAnswer]


class DeliveryAnswer(Answer):
    id: UUID
    # The header `webhook-id`: the same at each attempt and replay.
    message_id: str
    event: str
    sequence: int | None
    state: DeliveryState
    attempts: int
    # Null once it is concluded.
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    response_status: int | None
    # The first 1 KiB.
    response_excerpt: str | None
    error: str | None
    duration_ms: int | None
    created_at: datetime


class DeliveryWithPayload(DeliveryAnswer):
    # Null for a challenge, which only its receiver shall know.
    payload: dict[str, Any] | None


class DeliveryList(Answer):
    items: list[DeliveryAnswer]
    next_cursor: str | None


class ReplayBody(Body):
    """After a sequence number or since a time, and until one of either or the latest change."""

    after_sequence: Sequence | None = None
    since: AwareDatetime | None = None
    until_sequence: Sequence | None = None
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Self:
        if (self.after_sequence is None) == (self.since is None):
            raise ValueError("give either after_sequence or since")
        if self.until_sequence is not None and self.until is not None:
            raise ValueError("give until_sequence or until, not both")
        return self


class ReplayAnswer(Answer):
    after_sequence: int
    # Go on after this one where it is not complete.
    last_sequence: int
    deliveries: int
    is_complete: bool
