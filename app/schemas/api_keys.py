from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.schemas.base import Answer, Body, Line, Password, Time
from app.services import policy

Scope = Literal["assets:read", "assets:download", "changes:read", "webhooks:manage"]
State = Literal["active", "expired", "revoked"]
_LONGEST_OVERLAP = int(policy.KEY_OVERLAP_LONGEST.total_seconds())


class ApiKeyBody(Body):
    name: Line = Field(examples=["Archive in Brest"])
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)] = Field(
        examples=[["assets:read", "assets:download"]]
    )
    expires_at: Time | None = Field(
        None, description="Without it the key works until it is revoked"
    )
    password: Password | None = Field(
        None, description="Needed where it was last given more than 15 minutes ago"
    )


class ApiKeyPatch(Body):
    name: Line | None = None


class Rotation(Body):
    overlap_seconds: int = Field(
        int(policy.KEY_OVERLAP.total_seconds()),
        strict=True,
        ge=0,
        le=_LONGEST_OVERLAP,
        description="For so long the secret until now works too",
    )
    password: Password | None = Field(
        None, description="Needed where it was last given more than 15 minutes ago"
    )


class SecretAnswer(Answer):
    hint: str = Field(description="Its last four characters", examples=["x7Qd"])
    created_at: datetime
    expires_at: datetime | None = Field(description="Null of the current one")


class UsageToday(Answer):
    calls: int = 0
    response_bytes: int = 0
    downloads: int = 0
    download_bytes: int = 0


class ApiKeyAnswer(Answer):
    id: UUID
    name: str
    scopes: list[Scope]
    state: State
    hint: str = Field(description="The last four characters of its current secret")
    secrets: list[SecretAnswer] = Field(
        description="The current one, then those whose overlap has not ended"
    )
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    usage_today: UsageToday


class NewApiKeyAnswer(ApiKeyAnswer):
    key: str = Field(
        description="Shown this once; keep it as you keep a password",
        examples=["mma_example0example0example0example0000000"],
    )


class ApiKeyList(Answer):
    items: list[ApiKeyAnswer]
    next_cursor: str | None
