from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.schemas.base import Answer, Body


class MailRateBody(Body):
    # Mails; not more than one worker could think of sending, and not so few that it is a stop.
    per_second: Annotated[float, Field(strict=True, ge=0.01, le=100_000, allow_inf_nan=False)]


class MailRateAnswer(Answer):
    # "sender" or "domain:example.org".
    scope: str
    # Mails per second: as an admin has set it, and as it is after a server asked for less.
    allowed: float | None
    current: float | None
    slowed_at: datetime | None


class MailRateList(Answer):
    items: list[MailRateAnswer]
    next_cursor: str | None
