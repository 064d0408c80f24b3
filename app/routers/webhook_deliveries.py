"""What became of each message to a webhook, and sending messages again."""

import json
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from app.crypto import InvalidToken
from app.deps import PageDep, SessionDep, SettingsDep, WebhooksManager
from app.errors import LoginRequired, NotFound
from app.http.openapi import refusals
from app.http.paging import InvalidCursor
from app.http.strict_json import StrictJsonRoute
from app.routers.webhooks import AskedDep
from app.schemas.webhooks import (
    ReplayAnswer,
    ReplayBody,
    WebhookDeliveryAnswer,
    WebhookDeliveryList,
    WebhookDeliveryState,
    WebhookDeliveryWithPayload,
)
from app.services import webhook_deliveries, webhooks
from app.services.webhook_deliveries import ChallengeNotReplayable, Range
from app.services.webhook_messages import CHALLENGE
from app.services.webhook_states import WebhookNotProven

router = APIRouter(
    prefix="/v1/webhooks/{webhook_id}",
    tags=["broadcasters"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken, NotFound),
)


@router.get("/deliveries", responses=refusals(InvalidCursor))
async def list_webhook_deliveries(
    webhook_id: UUID,
    response: Response,
    caller: WebhooksManager,
    session: SessionDep,
    pager: PageDep,
    state: WebhookDeliveryState | None = None,
) -> WebhookDeliveryList:
    """Messages of the last 30 days and what became of them, newest first."""
    scope = f"webhook-deliveries {webhook_id} {state}"
    after = pager.after(scope)
    endpoint = await webhooks.find_own(session, webhook_id, caller.account_id)
    found = await webhook_deliveries.list_deliveries(
        session,
        endpoint,
        state=state,
        before=UUID(str(after[0])) if after else None,
        limit=pager.read_limit,
    )
    items = [_answer(delivery) for delivery in pager.shown(found)]
    last = [str(items[-1].id)] if items else []
    return WebhookDeliveryList(
        items=items, next_cursor=pager.next_cursor(response, scope, found, last)
    )


@router.get("/deliveries/{delivery_id}")
async def get_webhook_delivery(
    webhook_id: UUID, delivery_id: UUID, caller: WebhooksManager, session: SessionDep
) -> WebhookDeliveryWithPayload:
    """One message, with its payload and the beginning of the answer."""
    endpoint = await webhooks.find_own(session, webhook_id, caller.account_id)
    found = await webhook_deliveries.get_delivery(session, endpoint, delivery_id)
    payload = None if found.event == CHALLENGE else json.loads(found.payload)
    return WebhookDeliveryWithPayload(**_answer(found).model_dump(), payload=payload)


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    responses=refusals(WebhookNotProven, ChallengeNotReplayable),
)
async def replay_webhook_delivery(
    webhook_id: UUID, delivery_id: UUID, asked: AskedDep, session: SessionDep
) -> WebhookDeliveryAnswer:
    """Send a message again, with the same `webhook-id`, whatever became of it before."""
    return _answer(await webhook_deliveries.replay(session, webhook_id, delivery_id, asked=asked))


@router.post("/replay", status_code=202, responses=refusals(WebhookNotProven))
async def replay_webhook_changes(
    webhook_id: UUID,
    body: ReplayBody,
    asked: AskedDep,
    session: SessionDep,
    settings: SettingsDep,
) -> ReplayAnswer:
    """Send the changes of a range, at most 10,000 at a time, with the ids that they have.

    What an endpoint has missed is named by its field `missed`, which this call takes as it is.
    """
    wanted = Range(**body.model_dump())
    replayed = await webhook_deliveries.replay_range(
        session, webhook_id, wanted, api_url=settings.base_url, asked=asked
    )
    return ReplayAnswer.model_validate(replayed)


@router.post("/test", status_code=202, responses=refusals(WebhookNotProven))
async def send_webhook_test(
    webhook_id: UUID, asked: AskedDep, session: SessionDep
) -> WebhookDeliveryAnswer:
    """Send a message `webhook.test`, which means nothing."""
    return _answer(await webhook_deliveries.send_test(session, webhook_id, asked=asked))


def _answer(delivery: Any) -> WebhookDeliveryAnswer:
    names = WebhookDeliveryAnswer.model_fields.keys() - {"next_attempt_at"}
    fields = {name: getattr(delivery, name) for name in names}
    next_at = delivery.next_at if delivery.state == "pending" else None
    return WebhookDeliveryAnswer(**fields, next_attempt_at=next_at)
