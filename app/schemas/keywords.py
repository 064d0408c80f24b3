from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.schemas.asset_editing import KeywordName
from app.schemas.base import Answer, Body, LanguageTag


class KeywordBody(Body):
    name: KeywordName
    # By language, for readers of others than the vocabulary's own.
    labels: Annotated[dict[LanguageTag, KeywordName], Field(default_factory=dict, max_length=100)]


class KeywordPatch(Body):
    """A JSON merge patch (RFC 7396): null takes a language's label away."""

    labels: Annotated[
        dict[LanguageTag, KeywordName | None], Field(default_factory=dict, max_length=100)
    ]


class KeywordAnswer(Answer):
    id: UUID
    name: str
    labels: dict[str, str]
    version: int
    # Public assets alone.
    count: int = 0


class KeywordList(Answer):
    items: list[KeywordAnswer]
    next_cursor: str | None
