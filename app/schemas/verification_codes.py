from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from app.schemas.account import AccountAnswer
from app.schemas.auth import TokenAnswer, Transport
from app.schemas.base import Answer, Body, Email, LanguageTag, Line, Password


class CodeRequest(Body):
    """Either `flow_id`, for a new code of a flow, or `email` and `purpose`, for a reset."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"flow_id": "019ab0e4-3c00-7a10-8000-5f2d1c9b7e63"}]}
    )

    flow_id: UUID | None = None
    email: Email | None = None
    purpose: Literal["password_reset"] | None = None
    locale: LanguageTag | None = None
    return_to: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        is_resend = self.flow_id is not None
        reset_fields = (self.email, self.purpose, self.return_to, self.locale)
        if is_resend and any(value is not None for value in reset_fields):
            raise ValueError("give flow_id alone, or email and purpose")
        if not is_resend and (self.email is None or self.purpose is None):
            raise ValueError("give flow_id, or email and purpose")
        return self


class CodeProof(Body):
    """`{flow_id, code}`, `{flow_id, token}`, `{token, password}`, or `{token}` for a reset."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"flow_id": "019ab0e4-3c00-7a10-8000-5f2d1c9b7e63", "code": "1234 5678"}]
        }
    )

    flow_id: UUID | None = None
    code: str | None = Field(None, max_length=64, examples=["1234 5678"])
    token: str | None = Field(None, max_length=256)
    password: Password | None = None
    transport: Transport = Field("bearer", description="`bearer` if left out")
    device_name: Line | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.code is None) == (self.token is None):
            raise ValueError("give either code or token")
        if self.code is not None and self.flow_id is None:
            raise ValueError("a code needs its flow_id")
        return self


class VerifiedRegistration(Answer):
    account: AccountAnswer
    session: TokenAnswer


class ResetGrantAnswer(Answer):
    reset_token: str
    expires_at: datetime
