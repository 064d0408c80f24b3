"""An edition as every call of the desk answers with it."""

from email.utils import format_datetime

from fastapi import Response

from app.http import conditional
from app.schemas.editions import EditionAnswer


def edition_answer(response: Response, edition: object) -> EditionAnswer:
    answer = EditionAnswer.model_validate(edition)
    subject = answer.translations.get(answer.language)
    response.headers["ETag"] = _tag(answer)
    response.headers["Last-Modified"] = format_datetime(answer.updated_at, usegmt=True)
    return answer.model_copy(update={"subject": subject.subject if subject else None})


def _tag(answer: EditionAnswer) -> str:
    """The version, and the count that grows without one; a step names either (If-Match)."""
    if answer.recipients == 0:
        return conditional.etag(answer.version)
    return conditional.etag(f"{answer.version}+{answer.recipients}")
