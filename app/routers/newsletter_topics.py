"""What the newsletter is about: the choice for everybody, the topics themselves for editors."""

from typing import Annotated, get_args

from fastapi import APIRouter, Path, Request, Response

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    ActingEditor,
    CurrentEditor,
    Now,
    PreferredLocale,
    SessionDep,
    Transactions,
)
from app.errors import Forbidden, LoginRequired, NotFound
from app.http.idempotency import IdempotencyDep
from app.http.openapi import refusals
from app.http.public_answer import NOT_MODIFIED, page_answer
from app.http.strict_json import StrictJsonRoute
from app.schemas.newsletter import Frequency
from app.schemas.newsletter_topics import (
    ConsentText,
    EditorTopic,
    EditorTopicList,
    TopicAnswer,
    TopicBody,
    TopicChoice,
    TopicPatch,
)
from app.services import consent_texts, newsletter_topics
from app.services.idempotency import IdempotencyKeyReused, IdempotencyKeyRunning
from app.services.languages import LOCALES, Locale, nearest
from app.services.newsletter_topics import TopicExists

router = APIRouter(prefix="/v1/newsletter/topics", tags=["newsletter"], route_class=StrictJsonRoute)

DESK = (LoginRequired, InvalidToken, Forbidden)
Slug = Annotated[str, Path(max_length=60)]


@router.get("", response_model=TopicChoice, responses=NOT_MODIFIED)
async def list_topics(
    request: Request,
    session: SessionDep,
    preferred_locale: PreferredLocale,
    language: Locale | None = None,
) -> Response:
    """Topics, languages, frequencies and the text of consent: what a form needs.

    In `language`, or else by Accept-Language.
    """
    used = language or nearest(preferred_locale)
    topics = await newsletter_topics.list_choice(session, used)
    choice = TopicChoice(
        language=used,
        topics=[TopicAnswer.model_validate(topic) for topic in topics],
        languages=list(LOCALES),
        frequencies=list(get_args(Frequency)),
        consent=ConsentText(
            version=consent_texts.CURRENT, language=used, text=consent_texts.current(used)
        ),
    )
    headers = {"Content-Language": used, "Vary": "Accept-Language"}
    body = choice.model_dump_json().encode()
    return page_answer(request, body, media_type="application/json", headers=headers)


@router.get("/all", dependencies=[NO_STORE], responses=refusals(*DESK))
async def list_all_topics(_: CurrentEditor, session: SessionDep) -> EditorTopicList:
    """Every topic with all its labels and terms, the retired ones too."""
    topics = await newsletter_topics.list_all(session)
    return EditorTopicList(items=[EditorTopic.model_validate(topic) for topic in topics])


@router.post(
    "",
    status_code=201,
    dependencies=[NO_STORE],
    responses=refusals(*DESK, TopicExists, IdempotencyKeyReused, IdempotencyKeyRunning),
)
async def create_topic(
    body: TopicBody,
    editor: ActingEditor,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    now: Now,
) -> EditorTopic:
    """Add a topic. Its slug stays for good; without a position it comes last."""
    if replay := idempotency.replay:
        return replay  # type: ignore[return-value]  # FastAPI sends a response as it is
    async with transactions() as session:
        sent = body.sent()
        created = await newsletter_topics.create(
            session, sent.pop("slug"), sent, editor=editor, now=now
        )
        answer = EditorTopic.model_validate(created)
        await idempotency.remember(session, 201, answer)
    return answer


@router.patch("/{slug}", dependencies=[NO_STORE], responses=refusals(*DESK, NotFound))
async def update_topic(
    slug: Slug, body: TopicPatch, editor: ActingEditor, session: SessionDep, now: Now
) -> EditorTopic:
    """Change labels, terms and position, or retire it: those who have chosen it keep it."""
    changed = await newsletter_topics.change(session, slug, body.sent(), editor=editor, now=now)
    return EditorTopic.model_validate(changed)
