from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints

from app.schemas.base import Answer, Body, Email
from app.services.languages import Locale

Frequency = Literal["each", "daily", "weekly"]
Status = Literal["subscribed", "unsubscribed", "suppressed"]
TopicSlug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
# None stands for all, also those to come.
Topics = Annotated[list[TopicSlug], Field(max_length=100, examples=[["videos"]])]


class SubscriptionBody(Body):
    """What to change; a field left out stays as it is, or as one click gives it."""

    topics: Topics = Field(default_factory=list)
    language: Locale = "en"
    frequency: Frequency = "each"
    # Of the text that was shown beside the button (GET /v1/newsletter/topics).
    consent_text_version: str | None = None

    def wishes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude={"consent_text_version"})


class SignupBody(Body):
    email: Email
    topics: Topics = Field(default_factory=list)
    # By default from Accept-Language.
    language: Locale | None = None
    frequency: Frequency = "each"
    consent_text_version: str | None = None


class SignupAnswer(Answer):
    """The same for every address; only its owner learns more, by mail."""

    # As it was typed.
    email: str
    # Seconds: how long the mailed link works, and within which no second mail is sent.
    link_lifetime: int
    mail_interval: int


class ConfirmationToken(Body):
    token: str = Field(max_length=256)


class SubscriptionAnswer(Answer):
    status: Annotated[Status, Field(validation_alias=AliasChoices("status", "state"))]
    topics: list[str]
    language: str
    frequency: Frequency
    # Of the last time that it began and, unless it runs, when that ended.
    subscribed_at: datetime | None = None
    ended_at: datetime | None = None


class ConfirmedSubscription(SubscriptionAnswer):
    # For GET and PUT /v1/newsletter/preferences/{token}: who confirms can go on to choose.
    preferences_token: str
