from typing import Annotated

from pydantic import Field

from app.schemas.base import Answer, Body, Email
from app.services import policy
from app.services.languages import Locale


class EditionTestBody(Body):
    """Who gets a test, and as a reader of which language: the edition's own unless it is named."""

    to: Annotated[list[Email], Field(min_length=1, max_length=policy.MAX_TEST_RECIPIENTS)]
    language: Locale | None = None


class EditionTestAnswer(Answer):
    language: Locale
    recipients: int


class PreviewWarning(Answer):
    """Something that does not keep the edition from being sent, but may be an oversight."""

    code: str
    message: str


class PreviewAnswer(Answer):
    """A mail with links that name nobody; all else is as it will be sent."""

    language: Locale
    # What the text is in: the edition's own language where it has no translation.
    text_language: Locale
    subject: str
    preheader: str
    html: str
    text: str
    # Shows the HTML in a frame of the browser app, without a token, for 15 minutes.
    url: str
    html_bytes: int
    warnings: list[PreviewWarning]
