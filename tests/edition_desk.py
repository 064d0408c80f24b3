"""Editions as editors make them, and ledgers as senders leave them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from uuid_utils.compat import uuid7

from app.db import Database
from app.models import Delivery, Subscriber
from app.services import edition_states, editions
from app.services.context import WORKER, Newsroom
from tests.factories import any_version

EDITIONS = "/v1/newsletter/editions"
PATCH = {"Content-Type": "application/merge-patch+json"}
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NEWSROOM = Newsroom(
    sender="News <news@example.org>",
    api_url="http://127.0.0.1:8000",
    pages_url="http://127.0.0.1:8000",
)
TEXTS = {
    "en": {"subject": "Autumn on the water", "body": "# Three boats\n\nThey sailed."},
    "fr": {"subject": "L'automne sur l'eau", "body": "Trois bateaux."},
}
DRAFT: dict[str, Any] = {"name": "November, second week", "translations": TEXTS}


async def create(desk: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await desk.post(EDITIONS, json={**DRAFT, **fields})
    assert response.status_code == 201, response.text
    edition: dict[str, Any] = response.json()
    return edition


async def read(desk: httpx.AsyncClient, edition: Mapping[str, Any]) -> dict[str, Any]:
    response = await desk.get(f"{EDITIONS}/{edition['id']}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def change(
    desk: httpx.AsyncClient, edition: Mapping[str, Any], **patch: Any
) -> httpx.Response:
    headers = {**PATCH, "If-Match": f'"v{edition["version"]}"'}
    return await desk.patch(f"{EDITIONS}/{edition['id']}", json=patch, headers=headers)


async def take(
    desk: httpx.AsyncClient, edition: Mapping[str, Any], step: str, **body: Any
) -> httpx.Response:
    """A step, by an editor who does not mind the version."""
    address = f"{EDITIONS}/{edition['id']}/{step}"
    return await desk.post(address, json=body or None, headers={"If-Match": "*"})


async def done(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def send(desk: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """An edition that is being sent, whose ledger nobody has written yet."""
    return await done(await take(desk, await create(desk, **fields), "send"))


async def start(database: Database) -> dict[str, Any]:
    """An edition that is being sent, with a complete ledger that tests fill in."""
    async with database.transaction() as session:
        edition = await editions.create(session, DRAFT, editor=WORKER, now=NOON)
        await edition_states.send(
            session,
            edition.id,
            check=any_version,
            newsroom=NEWSROOM,
            editor=WORKER,
            now=NOON,
        )
        edition.fanned_out_at = NOON
        return {"id": str(edition.id)}


async def add_subscriber(database: Database, email: str, **fields: Any) -> UUID:
    subscriber = Subscriber(
        id=uuid7(),
        email=email,
        email_key=email,
        **{
            "state": "subscribed",
            "topics": [],
            "language": "en",
            "frequency": "each",
            "subscribed_at": NOON,
            "created_at": NOON,
            "updated_at": NOON,
            **fields,
        },
    )
    async with database.transaction() as session:
        session.add(subscriber)
    return subscriber.id


async def add_delivery(
    database: Database, edition: Mapping[str, Any], state: str, **fields: Any
) -> UUID:
    """A line of the ledger, for somebody who was erased unless the subscriber is named."""
    delivery = Delivery(
        edition_id=UUID(edition["id"]),
        variant=0,
        state=state,
        **{"subscriber_id": uuid7(), "due_at": NOON, **fields},
    )
    async with database.transaction() as session:
        session.add(delivery)
    return delivery.subscriber_id


async def add_reader_delivery(
    database: Database, edition: Mapping[str, Any], state: str, **fields: Any
) -> UUID:
    """A line of the ledger for somebody who is still subscribed."""
    reader = await add_subscriber(database, f"{uuid7()}@example.org")
    return await add_delivery(database, edition, state, subscriber_id=reader, **fields)
