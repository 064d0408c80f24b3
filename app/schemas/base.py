"""What all request and response shapes share."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    field_validator,
)

# A zero-width joiner or non-joiner is part of ordinary words in Persian and Indic scripts.
_JOINERS = "\u200c\u200d"
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Body(BaseModel):
    """A request body: a field that it does not name is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", str_max_length=4096, hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _in_utc(cls, value: object) -> object:
        """Times go on in UTC, so that an answer made before they are stored gives them so too."""
        if not isinstance(value, datetime) or not value.utcoffset():
            return value
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("must be in the years 1 to 9999, in UTC too") from None


class Answer(BaseModel):
    """A response body, made from a table's row or a service's result.

    All fields are sent, so clients may count on those with a default too.
    """

    model_config = ConfigDict(
        from_attributes=True, json_schema_serialization_defaults_required=True
    )


# For an answer whose fields with a default are only there when there is something to say.
SPARSE = ConfigDict(json_schema_serialization_defaults_required=False)


def require_nothing(schema: dict[str, Any]) -> None:
    """The same for a `TypedDict`, whose answers are dicts that are sent as they are."""
    schema.pop("required", None)


def is_one_line(text: str) -> str:
    """Text for names: no control, direction or line characters that could forge a header."""
    for char in text:
        if char not in _JOINERS and unicodedata.category(char) in _INVISIBLE:
            raise ValueError("must be one line of visible characters")
    return text


def _is_text(value: object) -> object:
    """RFC 3339, as everywhere in the contract: pydantic would take a number of seconds too."""
    if isinstance(value, int | float):
        raise ValueError("must be a time such as 2026-11-30T12:00:00Z")  # noqa: TRY004  # pydantic's
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_is_text)]
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(is_one_line),
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
Email = Annotated[str, StringConstraints(min_length=3, max_length=320)]
