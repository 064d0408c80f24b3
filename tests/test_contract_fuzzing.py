"""Every call with generated input, fitting and not: what comes back is in the OpenAPI document."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.main import create_app
from app.models import Subscriber
from app.services import newsletter_tokens
from app.services.change_hub import ChangeHub
from app.services.newsletter_tokens import Recipient
from app.settings import Settings
from tests.factories import add_export, publish_video
from tests.helpers import Api, Mailbox, bearer, make_admin, rows, sign_up
from tests.test_contract_roles import EVERYBODY, MATRIX, OK


def no_server_error(_: Any, response: Response, __: Case[Any]) -> bool | None:
    """Nothing fails on our side. oEmbed itself asks for 501 where a format is not to be had."""
    assert response.status_code < 500 or response.status_code == 501
    return None


CHECKS: list[CheckFunction] = [
    no_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# The bodies of uploads and mails are bytes like any other, and CSV is text.
schemathesis.serializer.alias(
    ["application/offset+octet-stream", "message/rfc822"], "application/octet-stream"
)
schemathesis.serializer.alias("text/csv", "text/plain")
SCHEMA = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
OPERATIONS = {
    f"{result.ok().method.upper()} {result.ok().path}": result.ok()
    for result in SCHEMA.get_all_operations()
    if isinstance(result, Ok)
}


Send = Callable[[Case[Any]], httpx.Response]


def run_examples(name: str, mode: GenerationMode, examples: int, send: Send, **fixed: Any) -> None:
    """Send generated cases of one operation; blocking, so call it in a thread."""

    @seed(20261123)
    @settings(max_examples=examples, phases=[Phase.generate])
    @given(case=OPERATIONS[name].as_strategy(generation_mode=mode, **fixed))
    def check(case: Case[Any]) -> None:
        case.validate_response(send(case), checks=CHECKS)

    # An operation without input has none that does not fit.
    with suppress(Unsatisfiable) if mode.is_negative else nullcontext():
        check()


async def fuzz(client: httpx.AsyncClient, name: str, *, examples: int, **fixed: Any) -> None:
    loop = asyncio.get_running_loop()

    def send(case: Case[Any]) -> httpx.Response:
        kwargs = case.as_transport_kwargs(base_url=str(client.base_url))
        return asyncio.run_coroutine_threadsafe(request(client, kwargs), loop).result(300)

    for mode in GenerationMode:
        await asyncio.to_thread(run_examples, name, mode, examples, send, **fixed)


async def request(client: httpx.AsyncClient, kwargs: dict[str, Any]) -> httpx.Response:
    kwargs.pop("cookies", None)
    if isinstance(kwargs.get("data"), bytes | str):
        kwargs["content"] = kwargs.pop("data")
    # As bytes, for httpx itself would refuse what is not ASCII.
    headers = kwargs.get("headers") or {}
    kwargs["headers"] = {
        name.encode("latin-1"): str(value).encode("latin-1", "replace")
        for name, value in headers.items()
    }
    return await client.request(**kwargs)


async def make_webhook(client: httpx.AsyncClient) -> str:
    sent = {"url": "https://hooks.example.org/", "events": ["asset.created"]}
    return str((await client.post("/v1/webhooks", json=sent)).json()["id"])


async def known_paths(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, name: str
) -> dict[str, str]:
    """Path parameters that lead somewhere, as far as this operation has any."""

    async def first_id(path: str) -> str:
        return str((await client.get(path)).json()["items"][-1]["id"])

    async def key_id() -> str:
        body = {"name": "Archive", "scopes": ["assets:read"]}
        return str((await client.post("/v1/api-keys", json=body)).json()["id"])

    async def edition_id() -> str:
        edition = await client.post("/v1/newsletter/editions", json={"name": "Harbour"})
        return str(edition.json()["id"])

    async def token() -> str:
        await client.put("/v1/newsletter/subscription", json={})
        [subscriber] = await rows(mailbox.database, Subscriber)
        purpose: newsletter_tokens.Purpose = "unsubscribe" if "unsub" in name else "preferences"
        recipient = Recipient(subscriber.id)
        return newsletter_tokens.make(purpose, recipient, keyring=mailbox.keyring)

    async def saved_search_id() -> str:
        saved = await client.post("/v1/saved-searches", json={"name": "Harbours"})
        return str(saved.json()["id"])

    async def reference() -> str:
        return (await publish_video(app)).slug

    async def rendition() -> str:
        return "hd"

    async def file_format() -> str:
        await add_export(app)
        return "ndjson.gz"

    async def export_id() -> str:
        return await first_id("/v1/exports")

    known: dict[str, Callable[[], Awaitable[str]]] = {
        "reference": reference,
        "name": rendition,
        "account_id": partial(first_id, "/v1/accounts"),
        "session_id": partial(first_id, "/v1/auth/sessions"),
        "edition_id": edition_id,
        "webhook_id": partial(make_webhook, client),
        "key_id": key_id,
        "file_format": file_format,
        "export_id": export_id,
        "saved_search_id": saved_search_id,
        "token": token,
    }
    return {key: await find() for key, find in known.items() if f"{{{key}}}" in name}


@asynccontextmanager
async def admin_client(app: FastAPI, mailbox: Mailbox) -> AsyncIterator[httpx.AsyncClient]:
    async with Api(app) as client:
        session = await sign_up(client, mailbox)
        await make_admin(mailbox.database, "jane@example.org")
        client.headers.update(bearer(session))
        yield client


@pytest.fixture(autouse=True)
def nobody_waits_for_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    next_page = ChangeHub.next_page

    async def look_once(hub: ChangeHub, *args: Any, watch: Any, **_: Any) -> Any:
        return await next_page(hub, *args, seconds=0, watch=watch)

    monkeypatch.setattr(ChangeHub, "next_page", look_once)


# The others refuse a stranger before they look at anything (test_contract_roles.py).
PUBLIC = [name for name in OPERATIONS if MATRIX.get(name, EVERYBODY)[0] == OK]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
async def test_stranger_gets_documented_answers(client: httpx.AsyncClient, name: str) -> None:
    await fuzz(client, name, examples=2)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_admin_gets_documented_answers(app: FastAPI, mailbox: Mailbox, name: str) -> None:
    async with admin_client(app, mailbox) as client:
        paths = await known_paths(app, client, mailbox, name)
        await fuzz(client, name, examples=1, path_parameters=paths)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
async def test_hundreds_of_requests_get_documented_answers(
    live_app: FastAPI, live_mailbox: Mailbox, name: str
) -> None:
    async with admin_client(live_app, live_mailbox) as client:
        paths = await known_paths(live_app, client, live_mailbox, name)
        await fuzz(client, name, examples=150, path_parameters=paths)
