"""Sent editions, for everybody: as a list, as feeds, and each as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from app.deps import AddressesDep, FrameAncestors, NewsroomDep, PageDep, SessionDep
from app.errors import NotFound
from app.formats import atom, json_feed, newsletter_feed
from app.formats.newsletter_feed import ArchiveFeed
from app.http.accept import NotAcceptable, best_type
from app.http.openapi import Responses, refusals
from app.http.paging import InvalidCursor, Key
from app.http.public_answer import NOT_MODIFIED, content_of, page_answer, written_as
from app.routers.format_answer import VARY
from app.schemas.newsletter_archive import IssueAnswer, IssueList, IssueSummary
from app.services import edition_layout, newsletter_archive
from app.services.context import Newsroom
from app.services.languages import Locale
from app.services.newsletter_archive import Issue

router = APIRouter(prefix="/v1/newsletter/archive", tags=["newsletter"])

JSON, HTML, TEXT = "application/json", "text/html", "text/plain"
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https:; "
    "base-uri 'none'; form-action 'none'"
)
_FORMATS: Responses = {200: {"content": {each: content_of(each) for each in (HTML, TEXT)}}}
# The first and the last number that PostgreSQL counts.
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class FoundIssues:
    """A page of the archive, not yet in the words of any format."""

    issues: Sequence[Issue]
    cursor: str | None
    url: str
    first_url: str
    next_url: str | None
    headers: dict[str, str]


async def find_issues(
    request: Request,
    session: SessionDep,
    newsroom: NewsroomDep,
    addresses: AddressesDep,
    pager: PageDep,
    language: Locale | None = None,
) -> FoundIssues:
    """Newest first; an edition without a translation is shown in its own language."""
    scope = f"archive {language}"
    after = pager.after(scope)
    found = await newsletter_archive.list_issues(
        session,
        language,
        newsroom=newsroom,
        after=_position(after) if after else None,
        limit=pager.read_limit,
        # Only feeds hold the editions themselves.
        has_contents=request.scope["path"] != router.prefix,
    )
    issues, cursor = pager.shown(found), None
    if len(found) > len(issues):
        last = issues[-1]
        cursor = pager.cursor(scope, [last.published_at.isoformat(), str(last.id)])
    this, first, following = (
        addresses.absolute(pager.target_of(each))
        for each in (request.query_params.get("cursor"), None, cursor)
    )
    headers = {"Link": pager.link(cursor)} if cursor else {}
    return FoundIssues(issues, cursor, this, first, following if cursor else None, headers)


FoundIssuesDep = Annotated[FoundIssues, Depends(find_issues)]


@router.get("", response_model=IssueList, responses={**NOT_MODIFIED, **refusals(InvalidCursor)})
async def list_archive(request: Request, found: FoundIssuesDep) -> Response:
    """Editions that were sent, newest first."""
    items = [IssueSummary.model_validate(issue) for issue in found.issues]
    page = IssueList(items=items, next_cursor=found.cursor).model_dump_json()
    return page_answer(request, page.encode(), media_type=JSON, headers=found.headers)


@router.get(
    ".atom",
    response_class=Response,
    responses={**written_as(atom.MEDIA_TYPE), **refusals(InvalidCursor)},
)
async def get_archive_atom(
    request: Request, found: FoundIssuesDep, newsroom: NewsroomDep
) -> Response:
    """The archive as Atom, paged as RFC 5005 says."""
    feed = newsletter_feed.write_atom(_feed(found, newsroom))
    return page_answer(request, feed, media_type=atom.MEDIA_TYPE, headers=found.headers)


@router.get(
    ".json",
    response_class=Response,
    responses={**written_as(json_feed.MEDIA_TYPE), **refusals(InvalidCursor)},
)
async def get_archive_json(
    request: Request, found: FoundIssuesDep, newsroom: NewsroomDep
) -> Response:
    """The archive as JSON Feed 1.1."""
    feed = newsletter_feed.write_json(_feed(found, newsroom))
    return page_answer(request, feed, media_type=json_feed.MEDIA_TYPE, headers=found.headers)


@router.get(
    "/{number}",
    response_model=IssueAnswer,
    responses={**_FORMATS, **NOT_MODIFIED, **refusals(NotFound, NotAcceptable)},
)
async def get_archived_edition(
    request: Request,
    session: SessionDep,
    newsroom: NewsroomDep,
    addresses: AddressesDep,
    frame_ancestors: FrameAncestors,
    number: Number,
    language: Locale | None = None,
) -> Response:
    """One edition: a page for browsers, or what `Accept` asks for (HTML, text, JSON)."""
    media_type = best_type(",".join(request.headers.getlist("accept")), (HTML, TEXT, JSON))
    issue = await newsletter_archive.get_issue(session, number, language, newsroom=newsroom)
    if media_type == JSON:
        body = IssueAnswer.model_validate(issue).model_dump_json()
    elif media_type == TEXT:
        body = f"{issue.subject}\n\n{issue.text}\n"
    else:
        feed_url = addresses.absolute(f"{router.prefix}.atom")
        body = newsletter_archive.page(issue, newsroom=newsroom, feed_url=feed_url)
    headers = {**VARY, "Content-Security-Policy": f"{_POLICY}; {frame_ancestors}"}
    return page_answer(request, body.encode(), media_type=media_type, headers=headers)


def _position(keys: Sequence[Key]) -> tuple[datetime, UUID]:
    """When an edition was sent, and its id, as they were put into a cursor."""
    sent_at, edition_id = map(str, keys)
    return datetime.fromisoformat(sent_at), UUID(edition_id)


def _feed(found: FoundIssues, newsroom: Newsroom) -> ArchiveFeed:
    return ArchiveFeed(
        title=edition_layout.sender_name(newsroom),
        home_url=newsroom.pages_url,
        issues=found.issues,
        url=found.url,
        first_url=found.first_url,
        next_url=found.next_url,
    )
