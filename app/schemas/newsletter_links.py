from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.base import Answer, Body
from app.schemas.newsletter import Frequency, Status, Topics
from app.schemas.newsletter_topics import ConsentText, TopicAnswer
from app.services.languages import Locale


class LinkDescriptionAnswer(Answer):
    # Masked, as in j…e@example.org; null when the address is gone.
    email: str | None = Field(examples=["j…e@example.org"])
    status: Status


class TopicOption(TopicAnswer):
    # Can be kept by whoever has it, and chosen by nobody else.
    is_retired: bool


class PreferencesChoice(Answer):
    """All that a form needs, in the language of the request."""

    topics: list[TopicOption]
    languages: list[Locale]
    frequencies: list[Frequency]
    # To be shown word for word to whoever comes back; its version goes back with the request.
    consent: ConsentText


class PreferencesAnswer(LinkDescriptionAnswer):
    # Empty stands for all topics, also those to come.
    topics: list[str]
    language: Locale
    frequency: Frequency
    choice: PreferencesChoice


class PreferencesBody(Body):
    """A field left out stays as it is; `status` leaves the newsletter or comes back to it."""

    status: Literal["subscribed", "unsubscribed"] = "subscribed"
    topics: Topics = Field(default_factory=list)
    language: Locale = "en"
    frequency: Frequency = "each"
    consent_text_version: Annotated[str, Field(max_length=40)] | None = None

    def sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude={"consent_text_version"})
