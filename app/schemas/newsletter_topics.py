from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from app.schemas.base import Answer, Body, Line
from app.schemas.newsletter import Frequency, TopicSlug
from app.services.languages import Locale

Name = Annotated[Line, StringConstraints(max_length=100)]
Description = Annotated[Line, StringConstraints(max_length=300)]
Term = Annotated[Line, StringConstraints(max_length=200)]
Position = Annotated[int, Field(ge=0, le=10_000)]


class TopicLabelBody(Body):
    name: Name = "Video"
    description: Description | None = None


class TopicPatch(Body):
    """A JSON merge patch (RFC 7396): null takes a language or a description away."""

    labels: Annotated[dict[Locale, TopicLabelBody | None], Field(default_factory=dict)]
    # An asset is of the topic if it has one of them; without any, every asset is.
    terms: Annotated[
        list[Term],
        Field(default_factory=list, max_length=50, examples=[["type:video", "keyword:harbour"]]),
    ]
    position: Position = 0
    # Nobody can choose it any more; those who have, keep it.
    retired: bool = False

    def sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class TopicBody(TopicPatch):
    slug: TopicSlug
    labels: dict[Locale, TopicLabelBody | None] = Field(
        examples=[{"en": {"name": "Harbours"}, "fr": {"name": "Ports"}}]
    )


class TopicLabelAnswer(Answer):
    name: str
    description: str | None = None


class EditorTopic(Answer):
    slug: str
    labels: dict[Locale, TopicLabelAnswer]
    terms: list[str]
    position: int
    retired_at: datetime | None


class EditorTopicList(Answer):
    items: list[EditorTopic]


class TopicAnswer(Answer):
    slug: str
    name: str
    description: str | None


class ConsentText(Answer):
    version: str
    language: Locale
    text: str


class TopicChoice(Answer):
    """All that a form needs, in one language."""

    language: Locale
    topics: list[TopicAnswer]
    languages: list[Locale]
    frequencies: list[Frequency]
    # To be shown word for word; its version goes back with the request.
    consent: ConsentText
