"""What tests talk to: the API as a client, the mail that it wrote, and a clock they can move."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.routing import Route

from app import db
from app.crypto import Keyring
from app.db import Database
from app.models import Account, AuditEvent, Base, OutboxMail

PASSWORD = "Correct-Horse-7-Battery"
NEW_PASSWORD = "Another-Staple-8-Harbour"
_hosts = itertools.count(1)
_TIME_LIMITS = (
    "POOL_TIMEOUT",
    "CONNECT_TIMEOUT",
    "STATEMENT_TIMEOUT",
    "IDLE_IN_TRANSACTION_TIMEOUT",
)
_first_apps: dict[bool, FastAPI] = {}
Row = TypeVar("Row", bound=Base)


@dataclass
class Clock:
    now: datetime

    def read(self) -> datetime:
        return self.now


class Api(httpx.AsyncClient):
    """A client with a network of its own, so that no test meets another test's limits."""

    def __init__(self, app: FastAPI, *, network: str | None = None) -> None:
        number = next(_hosts)
        host = network or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        transport = httpx.ASGITransport(app, client=(host, 50000))
        super().__init__(transport=transport, base_url="http://127.0.0.1:8000")


@dataclass
class Mail:
    kind: str
    to: str
    locale: str
    params: dict[str, str]


@dataclass
class Mailbox:
    """The mails in the outbox, oldest first, opened with the key that only the server has."""

    database: Database
    keyring: Keyring

    async def mails(self, to: str | None = None) -> list[Mail]:
        async with self.database.transaction() as session:
            rows = list(await session.scalars(select(OutboxMail).order_by(OutboxMail.id)))
        opened = [self._open(row) for row in rows if row.sealed]
        return [mail for mail in opened if to is None or mail.to == to]

    async def last(self, to: str) -> Mail:
        return (await self.mails(to))[-1]

    async def code(self, to: str) -> str:
        return (await self.last(to)).params["code"]

    def _open(self, row: OutboxMail) -> Mail:
        assert row.sealed is not None
        contents = json.loads(self.keyring.unseal("mail", row.sealed))
        return Mail(row.kind, contents["to"], row.locale, contents["params"])


def know_the_routes(app: FastAPI) -> None:
    """Take the routers of the first app like this one, with the dependencies they are given.

    An app examines its routers at its first request and describes them at the first that asks,
    which takes longer than most tests.
    """
    first = _first_apps.setdefault(app.state.settings.is_production, app)
    app.router.routes[:] = [
        own if isinstance(own, Route) else known
        for own, known in zip(app.routes, first.routes, strict=True)
    ]
    app.dependency_overrides = first.dependency_overrides
    app.openapi = first.openapi  # type: ignore[method-assign]


@contextmanager
def patient_limits() -> Iterator[None]:
    """For databases of tests of something else than their limits: a busy machine is no fault."""
    with pytest.MonkeyPatch.context() as patient:
        for limit in _TIME_LIMITS:
            patient.setattr(db, limit, 300)
        yield


def patient_database(url: str, **options: Any) -> Database:
    with patient_limits():
        return Database(url, **options)


async def register(
    client: httpx.AsyncClient, email: str = "jane@example.org", **fields: Any
) -> httpx.Response:
    body = {"email": email, "password": PASSWORD, **fields}
    return await client.post("/v1/auth/register", json=body)


async def verify(
    client: httpx.AsyncClient, flow_id: str, code: str, **fields: Any
) -> httpx.Response:
    body = {"flow_id": flow_id, "code": code, **fields}
    return await client.post("/v1/verification-codes/verify", json=body)


async def sign_up(
    client: httpx.AsyncClient, mailbox: Mailbox, email: str = "jane@example.org", **fields: Any
) -> dict[str, Any]:
    """Register and verify; gives the session's tokens."""
    flow_id = (await register(client, email, **fields)).json()["flow_id"]
    response = await verify(client, flow_id, await mailbox.code(email))
    assert response.status_code == 200, response.text
    session: dict[str, Any] = response.json()["session"]
    return session


async def login(
    client: httpx.AsyncClient,
    email: str = "jane@example.org",
    password: str = PASSWORD,
    **rest: Any,
) -> httpx.Response:
    body = {"email": email, "password": password, **rest}
    return await client.post("/v1/auth/login", json=body)


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


async def make_admin(database: Database, email: str) -> None:
    await _give_role(database, email, "admin")


async def make_editor(database: Database, email: str) -> None:
    await _give_role(database, email, "editor")


async def _give_role(database: Database, email: str, role: str) -> None:
    async with database.transaction() as session:
        account = (await session.scalars(select(Account).where(Account.email == email))).one()
        account.role = role


async def rows(database: Database, table: type[Row]) -> list[Row]:
    """All rows of a table, as they are stored now."""
    async with database.transaction() as session:
        return list(await session.scalars(select(table)))


async def audited(database: Database) -> list[str]:
    """The actions in the audit trail, oldest first."""
    events = await rows(database, AuditEvent)
    return [event.action for event in sorted(events, key=lambda event: event.id)]


async def somebody_waits(database: Database) -> None:
    """Return once a transaction waits for another's lock."""
    waiting = """
        SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    for _ in range(6000):  # a minute, only to keep a test from hanging
        if await database.reader.fetchrow(waiting) is not None:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError
