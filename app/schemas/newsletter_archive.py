from datetime import datetime

from app.schemas.base import Answer


class IssueSummary(Answer):
    number: int
    subject: str
    preheader: str
    language: str
    published_at: datetime
    # Where people read it.
    url: str


class IssueList(Answer):
    items: list[IssueSummary]
    next_cursor: str | None


class IssueAnswer(IssueSummary):
    """An edition as its readers got it, without layout and personal links."""

    # What it can be read in, its own language first.
    languages: list[str]
    html: str
    text: str
