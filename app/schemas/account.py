from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.schemas.base import Answer, Body, Country, Email, LanguageTag, Line, Password

Role = Literal["member", "editor", "admin"]


class AccountAnswer(Answer):
    id: UUID
    email: str
    full_name: str | None
    organisation: str | None
    country: str | None
    locale: str
    role: Role
    created_at: datetime
    updated_at: datetime


class ProfilePatch(Body):
    """A JSON merge patch (RFC 7396): a field left out stays, null empties it."""

    full_name: Line | None = None
    organisation: Line | None = None
    country: Country | None = Field(None, examples=["BE"])
    locale: LanguageTag = Field("en", examples=["fr"])


class AccountDeletion(Body):
    password: Password


class PasswordChange(Body):
    current_password: Password
    new_password: Password = Field(examples=["Correct-Horse-7-Battery"])


class EmailChange(Body):
    new_email: Email
    password: Password


class EmailChangeCode(Body):
    code: str = Field(max_length=64, examples=["1234 5678"])


class UndoToken(Body):
    token: str = Field(max_length=256)
