from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.schemas.base import Answer, Body, Line, Time
from app.services.webhook_messages import Event

WebhookState = Literal["pending", "active", "paused", "disabled"]
# After five days without a success, or after a 410.
DisabledReason = Literal["failing", "gone"]
WebhookDeliveryState = Literal["pending", "delivered", "failed"]
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
    disabled_reason: DisabledReason | None
    public_key: str = Field(
        description="For signatures of the kind v1a (Ed25519)",
        examples=["whpk_5d3qkPVOxiUDnXDpMhQmKBnMnTnkNFGvVyXAEqkQ1nY="],
    )
    previous_secret_ends_at: datetime | None
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None
    last_success_at: datetime | None
    read_until: int = Field(description="The changes up to this one are sent, or on their way")
    missed: MissedChanges | None


class WebhookWithSecret(WebhookAnswer):
    secret: str = Field(
        description="Shown this once; for signatures of the kind v1 (HMAC-SHA256)",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw1c0jCZ8LXk8="],
    )


class WebhookList(Answer):
    items: list[WebhookAnswer]


class WebhookDeliveryAnswer(Answer):
    id: UUID
    message_id: str = Field(
        description="The header `webhook-id`: the same at each attempt and replay"
    )
    event: str
    sequence: int | None
    state: WebhookDeliveryState
    attempts: int
    next_attempt_at: datetime | None = Field(description="Null once it is concluded")
    last_attempt_at: datetime | None
    response_status: int | None
    response_excerpt: str | None = Field(description="The first 1 KiB of the answer")
    error: str | None
    duration_ms: int | None
    created_at: datetime


class WebhookDeliveryWithPayload(WebhookDeliveryAnswer):
    payload: dict[str, Any] | None = Field(
        description="Null for a challenge, which only its receiver shall know"
    )


class WebhookDeliveryList(Answer):
    items: list[WebhookDeliveryAnswer]
    next_cursor: str | None


class ReplayBody(Body):
    """After a sequence number or since a time, and until one of either or the latest change."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"after_sequence": 118_202, "until_sequence": 118_240}]}
    )

    after_sequence: Sequence | None = None
    since: Time | None = None
    until_sequence: Sequence | None = None
    until: Time | None = None

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Self:
        if (self.after_sequence is None) == (self.since is None):
            raise ValueError("give either after_sequence or since")
        if self.until_sequence is not None and self.until is not None:
            raise ValueError("give until_sequence or until, not both")
        return self


class ReplayAnswer(Answer):
    after_sequence: int
    last_sequence: int = Field(description="Go on after this one where it is not complete")
    deliveries: int
    is_complete: bool
