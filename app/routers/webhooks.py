"""Webhooks: being told of changes instead of asking. The change feed stays the truth."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from app.crypto import InvalidToken
from app.deps import (
    CurrentClient,
    DeploymentDep,
    Now,
    SessionDep,
    SettingsDep,
    Transactions,
    WebhooksManager,
)
from app.errors import LoginRequired, NotFound
from app.http.idempotency import IdempotencyDep
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.schemas.webhooks import (
    MissedChanges,
    WebhookAnswer,
    WebhookBody,
    WebhookList,
    WebhookPatch,
    WebhookWithSecret,
)
from app.services import webhook_deliveries, webhooks
from app.services.idempotency import (
    IdempotencyKeyReused,
    IdempotencyKeyRunning,
    IdempotencySecretShown,
)
from app.services.reauthentication import ReauthenticationRequired
from app.services.webhook_states import TooManyChallenges, WebhookNotProven, WebhookProven
from app.services.webhook_urls import WebhookUrlRefused
from app.services.webhooks import Asked, TooManyWebhooks

router = APIRouter(
    prefix="/v1/webhooks",
    tags=["broadcasters"],
    route_class=StrictJsonRoute,
    responses=refusals(LoginRequired, InvalidToken),
)
ONCE = (IdempotencyKeyReused, IdempotencyKeyRunning, IdempotencySecretShown)


async def get_asked(
    caller: WebhooksManager,
    client: CurrentClient,
    deployment: DeploymentDep,
    settings: SettingsDep,
    now: Now,
) -> Asked:
    return Asked(caller, client, deployment, loopback=not settings.is_production, now=now)


AskedDep = Annotated[Asked, Depends(get_asked)]


@router.post(
    "",
    status_code=201,
    responses=refusals(
        ReauthenticationRequired, TooManyWebhooks, TooManyChallenges, WebhookUrlRefused, *ONCE
    ),
)
async def create_webhook(
    body: WebhookBody,
    asked: AskedDep,
    transactions: Transactions,
    idempotency: IdempotencyDep,
    response: Response,
) -> WebhookWithSecret:
    """Have messages sent to a URL, once it has answered the challenge that it is sent now.

    The answer shows the secret, this once. A session needs the password of the last 15 minutes.
    """
    async with transactions() as session:
        endpoint, secret = await webhooks.create(session, body.sent(), asked=asked)
        await idempotency.remember_secret(session, 201)
    response.headers["Location"] = f"/v1/webhooks/{endpoint.id}"
    return WebhookWithSecret(**_fields(endpoint), secret=secret)


@router.get("")
async def list_webhooks(caller: WebhooksManager, session: SessionDep) -> WebhookList:
    """One's own webhooks, oldest first; there are ten at most."""
    found = await webhooks.list_own(session, caller.account_id)
    return WebhookList(items=[_answer(endpoint) for endpoint in found])


@router.get("/{webhook_id}", responses=refusals(NotFound))
async def get_webhook(
    webhook_id: UUID, caller: WebhooksManager, session: SessionDep
) -> WebhookAnswer:
    """How a webhook is doing."""
    return _answer(await webhooks.find_own(session, webhook_id, caller.account_id))


@router.patch(
    "/{webhook_id}",
    responses=refusals(
        NotFound, ReauthenticationRequired, TooManyChallenges, WebhookNotProven, WebhookUrlRefused
    ),
)
async def update_webhook(
    webhook_id: UUID, body: WebhookPatch, asked: AskedDep, session: SessionDep
) -> WebhookAnswer:
    """Change it by a merge patch, pause it, or go on.

    A new URL, and an endpoint that was disabled and shall be active, are sent a challenge first.
    After a pause it gets what has happened meanwhile, at most the latest 10,000 changes.
    """
    return _answer(await webhooks.change(session, webhook_id, body.sent(), asked=asked))


@router.delete("/{webhook_id}", status_code=204, responses=refusals(NotFound))
async def delete_webhook(webhook_id: UUID, asked: AskedDep, transactions: Transactions) -> None:
    """Take a webhook away, with the record of its deliveries."""
    account_id = asked.caller.account_id
    await webhook_deliveries.delete_ledger(transactions, account_id, webhook_id=webhook_id)
    async with transactions() as session:
        await webhooks.delete(session, webhook_id, asked=asked)


@router.post(
    "/{webhook_id}/challenge",
    status_code=202,
    responses=refusals(NotFound, TooManyChallenges, WebhookProven),
)
async def send_challenge(webhook_id: UUID, asked: AskedDep, session: SessionDep) -> WebhookAnswer:
    """Send the challenge again, to an endpoint that has not answered yet or was disabled.

    It is a message `webhook.challenge`. The endpoint is active as soon as it answers 2xx and gives
    `data.challenge` back, as JSON (`{"challenge": "…"}`) or as plain text.
    """
    return _answer(await webhooks.challenge(session, webhook_id, asked=asked))


@router.post("/{webhook_id}/rotate-secret", responses=refusals(NotFound, *ONCE))
async def rotate_webhook_secret(
    webhook_id: UUID, asked: AskedDep, transactions: Transactions, idempotency: IdempotencyDep
) -> WebhookWithSecret:
    """Give it a new secret, shown this once. For 24 hours the one before signs as well."""
    async with transactions() as session:
        endpoint, secret = await webhooks.rotate_secret(session, webhook_id, asked=asked)
        await idempotency.remember_secret(session, 200)
    return WebhookWithSecret(**_fields(endpoint), secret=secret)


def _answer(endpoint: Any) -> WebhookAnswer:
    return WebhookAnswer(**_fields(endpoint))


def _fields(endpoint: Any) -> dict[str, Any]:
    missed = None
    if endpoint.missed_after is not None and endpoint.missed_until is not None:
        missed = MissedChanges(
            after_sequence=endpoint.missed_after, until_sequence=endpoint.missed_until
        )
    names = WebhookAnswer.model_fields.keys() - {"missed"}
    return {**{name: getattr(endpoint, name) for name in names}, "missed": missed}
