from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.schemas.account import AccountAnswer
from app.schemas.base import Answer, Body, Country, Email, LanguageTag, Line, Password

Transport = Literal["bearer", "cookie"]


class Registration(Body):
    email: Email = Field(examples=["jane.doe@example.org"])
    password: Password = Field(examples=["Correct-Horse-7-Battery"])
    full_name: Line | None = None
    organisation: Line | None = None
    country: Country | None = Field(None, examples=["BE"])
    locale: LanguageTag | None = Field(None, examples=["en"])
    return_to: str | None = Field(None, examples=["/videos/harbour-exercise"])


class IssuedCodeAnswer(Answer):
    """The same for every address, whether or not it has an account."""

    flow_id: UUID
    email: str
    code_expires_at: datetime
    resend_available_at: datetime


class Login(Body):
    email: Email
    password: Password
    transport: Transport = Field("bearer", description="`bearer` if left out")
    device_name: Line | None = Field(None, examples=["Jane's phone"])


class TokenAnswer(Answer):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # RFC 6750's word
    expires_in: int = Field(description="Seconds", examples=[600])
    refresh_token: str | None = Field(
        None,
        description="Absent with the cookie transport",
        exclude_if=lambda token: token is None,
    )
    account: AccountAnswer


class TokenRefresh(Body):
    refresh_token: str | None = Field(None, max_length=256)


class SessionAnswer(Answer):
    id: UUID
    is_current: bool
    device_name: str | None
    user_agent: str | None
    network: str
    transport: Transport
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class SessionList(Answer):
    items: list[SessionAnswer]
    next_cursor: None = None


class PasswordReset(Body):
    reset_token: str = Field(max_length=256)
    new_password: Password


class PasswordResetAnswer(Answer):
    return_to: str | None


class PasswordRule(Answer):
    code: str
    message: str


class PasswordPolicyAnswer(Answer):
    min_length: int
    max_length: int
    max_bytes: int
    spaces_allowed: bool
    needs: list[str]
    rules: list[PasswordRule]
