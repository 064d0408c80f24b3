"""Who may call what: every route of the app, written out by hand."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import update
from starlette.routing import Route

from app.crypto import Keyring, PasswordHasher
from app.main import ROUTERS
from app.models import Account
from app.routers import dev_mail
from tests.conftest import clock_at_noon, copied_database, running_app, settings_for
from tests.factories import add_export, publish_video
from tests.helpers import Api, Mailbox, bearer, patient_database, sign_up
from tests.one_connection import OneConnection, rolled_back

# A forger's token is an admin's with a changed signature.
ROLES = ("anonymous", "forger", "member", "editor", "admin")
OK = "ok"  # whatever the call fails by, it is not who calls
REFUSALS = {"login_required": 401, "invalid_token": 401, "forbidden": 403}

EVERYBODY = (OK, OK, OK, OK, OK)
# Anybody, but a token that is sent must be a good one.
OPTIONAL = (OK, "invalid_token", OK, OK, OK)
ACCOUNT = ("login_required", "invalid_token", OK, OK, OK)
EDITOR = ("login_required", "invalid_token", "forbidden", OK, OK)
ADMIN = ("login_required", "invalid_token", "forbidden", "forbidden", OK)
# Takes no access token; the one of its body or cookie is missing in this test.
REFRESH = ("login_required",) * 5

# A new route without a line here fails.
MATRIX = {
    "POST /v1/auth/register": EVERYBODY,
    "POST /v1/auth/login": EVERYBODY,
    "POST /v1/auth/refresh": REFRESH,
    "POST /v1/auth/logout": EVERYBODY,
    "POST /v1/auth/password-reset": EVERYBODY,
    "GET /v1/auth/password-policy": EVERYBODY,
    "GET /v1/auth/sessions": ACCOUNT,
    "DELETE /v1/auth/sessions": ACCOUNT,
    "DELETE /v1/auth/sessions/{session_id}": ACCOUNT,
    "POST /v1/verification-codes": EVERYBODY,
    "POST /v1/verification-codes/verify": EVERYBODY,
    "GET /v1/account": ACCOUNT,
    "PATCH /v1/account": ACCOUNT,
    "DELETE /v1/account": ACCOUNT,
    "GET /v1/account/export": ACCOUNT,
    "POST /v1/account/password": ACCOUNT,
    "POST /v1/account/email": ACCOUNT,
    "POST /v1/account/email/verify": ACCOUNT,
    "POST /v1/account/email/undo": EVERYBODY,  # the mailed token is the credential
    "GET /v1/assets": EVERYBODY,
    "GET /v1/assets/{reference}": OPTIONAL,
    "GET /v1/assets/{reference}/related": EVERYBODY,
    "POST /v1/assets": EDITOR,
    "PATCH /v1/assets/{reference}": EDITOR,
    "DELETE /v1/assets/{reference}": EDITOR,
    "POST /v1/assets/{reference}/publish": EDITOR,
    "POST /v1/assets/{reference}/withdraw": EDITOR,
    "GET /v1/assets/{reference}/versions": EDITOR,
    "GET /v1/assets/{reference}.jsonld": EVERYBODY,
    "GET /v1/assets/{reference}.ebucore.xml": EVERYBODY,
    "GET /v1/assets/{reference}.ninjs.json": EVERYBODY,
    "GET /v1/assets/{reference}.shotlist.vtt": EVERYBODY,
    "GET /v1/assets/{reference}.shotlist.otio": EVERYBODY,
    "GET /v1/assets/{reference}.captions.{language}.vtt": EVERYBODY,
    "GET /v1/feeds/assets.mrss": EVERYBODY,
    "GET /v1/feeds/assets.atom": EVERYBODY,
    "GET /v1/feeds/assets.json": EVERYBODY,
    "GET /oembed": EVERYBODY,
    "GET /sitemap.xml": EVERYBODY,
    "GET /sitemaps/assets.xml": EVERYBODY,
    "GET /robots.txt": EVERYBODY,
    "GET /v1/assets/{reference}/renditions": OPTIONAL,
    "DELETE /v1/assets/{reference}/renditions/{name}": EDITOR,
    "GET /v1/assets/{reference}/poster.jpg": EVERYBODY,
    "HEAD /v1/assets/{reference}/poster.jpg": EVERYBODY,
    "GET /v1/assets/{reference}/preview.mp4": EVERYBODY,
    "HEAD /v1/assets/{reference}/preview.mp4": EVERYBODY,
    "POST /v1/assets/{reference}/renditions/{name}/downloads": ACCOUNT,
    "GET /v1/assets/{reference}/renditions/{name}/download": ACCOUNT,
    "GET /v1/assets/{reference}/downloads": EDITOR,
    "GET /v1/account/downloads": ACCOUNT,
    "GET /v1/assets/{reference}/manifest": ACCOUNT,
    "GET /v1/collections/{reference}/manifest": ACCOUNT,
    "PUT /v1/assets/{reference}/captions/{language}": EDITOR,
    "DELETE /v1/assets/{reference}/captions/{language}": EDITOR,
    "GET /v1/collections": EVERYBODY,
    "GET /v1/collections/{reference}": EVERYBODY,
    "POST /v1/collections": EDITOR,
    "PATCH /v1/collections/{reference}": EDITOR,
    "DELETE /v1/collections/{reference}": EDITOR,
    "PUT /v1/collections/{reference}/assets/{asset_reference}": EDITOR,
    "DELETE /v1/collections/{reference}/assets/{asset_reference}": EDITOR,
    "GET /v1/keywords": OPTIONAL,
    "POST /v1/keywords": EDITOR,
    "PATCH /v1/keywords/{keyword_id}": EDITOR,
    "OPTIONS /v1/uploads": EVERYBODY,
    "POST /v1/uploads": EDITOR,
    "HEAD /v1/uploads/{upload_id}": EDITOR,
    "PATCH /v1/uploads/{upload_id}": EDITOR,
    "DELETE /v1/uploads/{upload_id}": EDITOR,
    "GET /v1/files/{ticket}/{filename}": EVERYBODY,  # the ticket is the credential
    "HEAD /v1/files/{ticket}/{filename}": EVERYBODY,
    "GET /v1/exports": ACCOUNT,
    "GET /v1/exports/assets.{file_format}": ACCOUNT,
    "HEAD /v1/exports/assets.{file_format}": ACCOUNT,
    "GET /v1/exports/{export_id}/assets.{file_format}": ACCOUNT,
    "HEAD /v1/exports/{export_id}/assets.{file_format}": ACCOUNT,
    "POST /v1/mail/inbound": EVERYBODY,  # of mail servers, with its own token
    "GET /v1/accounts": ADMIN,
    "GET /v1/accounts/{account_id}": ADMIN,
    "PATCH /v1/accounts/{account_id}": ADMIN,
    "GET /v1/newsletter/subscription": ACCOUNT,
    "PUT /v1/newsletter/subscription": ACCOUNT,
    "DELETE /v1/newsletter/subscription": ACCOUNT,
    "POST /v1/newsletter/subscriptions": EVERYBODY,
    "POST /v1/newsletter/subscriptions/confirm": EVERYBODY,  # the mailed token is the credential
    "GET /v1/newsletter/unsubscribe/{token}": EVERYBODY,  # so is this one, and the next
    "POST /v1/newsletter/unsubscribe/{token}": EVERYBODY,
    "GET /v1/newsletter/preferences/{token}": EVERYBODY,
    "PUT /v1/newsletter/preferences/{token}": EVERYBODY,
    "GET /v1/newsletter/topics": EVERYBODY,
    "GET /v1/newsletter/topics/all": EDITOR,
    "POST /v1/newsletter/topics": EDITOR,
    "PATCH /v1/newsletter/topics/{slug}": EDITOR,
    "GET /v1/newsletter/editions": EDITOR,
    "POST /v1/newsletter/editions": EDITOR,
    "GET /v1/newsletter/editions/{edition_id}": EDITOR,
    "PATCH /v1/newsletter/editions/{edition_id}": EDITOR,
    "DELETE /v1/newsletter/editions/{edition_id}": EDITOR,
    "POST /v1/newsletter/editions/{edition_id}/schedule": EDITOR,
    "POST /v1/newsletter/editions/{edition_id}/send": EDITOR,
    "POST /v1/newsletter/editions/{edition_id}/pause": EDITOR,
    "POST /v1/newsletter/editions/{edition_id}/resume": EDITOR,
    "POST /v1/newsletter/editions/{edition_id}/cancel": EDITOR,
    "POST /v1/newsletter/editions/{edition_id}/retry-failed": EDITOR,
    "GET /v1/newsletter/editions/{edition_id}/stats": EDITOR,
    "GET /v1/newsletter/editions/{edition_id}/deliveries": EDITOR,
    "GET /v1/newsletter/editions/{edition_id}/preview": EDITOR,
    # Its signature is the credential.
    "GET /v1/newsletter/editions/{edition_id}/preview.html": EVERYBODY,
    "POST /v1/newsletter/editions/{edition_id}/test": EDITOR,
    "GET /v1/newsletter/archive": EVERYBODY,
    "GET /v1/newsletter/archive.atom": EVERYBODY,
    "GET /v1/newsletter/archive.json": EVERYBODY,
    "GET /v1/newsletter/archive/{number}": EVERYBODY,
    "GET /v1/newsletter/subscribers": EDITOR,
    "POST /v1/newsletter/subscribers": EDITOR,
    "GET /v1/newsletter/consents": ADMIN,
    "GET /v1/newsletter/rates": ADMIN,
    "PUT /v1/newsletter/rates/{scope}": ADMIN,
    "DELETE /v1/newsletter/rates/{scope}": ADMIN,
    "GET /v1/saved-searches": ACCOUNT,
    "POST /v1/saved-searches": ACCOUNT,
    "GET /v1/saved-searches/{saved_search_id}": ACCOUNT,
    "PATCH /v1/saved-searches/{saved_search_id}": ACCOUNT,
    "DELETE /v1/saved-searches/{saved_search_id}": ACCOUNT,
    "GET /v1/saved-searches/{saved_search_id}/assets": ACCOUNT,
    "GET /v1/saved-searches/stop/{token}": EVERYBODY,  # the mailed token is the credential
    "POST /v1/saved-searches/stop/{token}": EVERYBODY,
    "GET /oai": EVERYBODY,
    "POST /oai": EVERYBODY,
    "GET /v1/audit-events": ADMIN,
    "POST /v1/webhooks": ACCOUNT,
    "GET /v1/webhooks": ACCOUNT,
    "GET /v1/webhooks/{webhook_id}": ACCOUNT,
    "PATCH /v1/webhooks/{webhook_id}": ACCOUNT,
    "DELETE /v1/webhooks/{webhook_id}": ACCOUNT,
    "POST /v1/webhooks/{webhook_id}/challenge": ACCOUNT,
    "POST /v1/webhooks/{webhook_id}/rotate-secret": ACCOUNT,
    "POST /v1/webhooks/{webhook_id}/test": ACCOUNT,
    "POST /v1/webhooks/{webhook_id}/replay": ACCOUNT,
    "GET /v1/webhooks/{webhook_id}/deliveries": ACCOUNT,
    "GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}": ACCOUNT,
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": ACCOUNT,
    "POST /v1/auth/reauthenticate": ACCOUNT,
    "GET /v1/api-keys": ACCOUNT,
    "POST /v1/api-keys": ACCOUNT,
    "GET /v1/api-keys/{key_id}": ACCOUNT,
    "PATCH /v1/api-keys/{key_id}": ACCOUNT,
    "POST /v1/api-keys/{key_id}/rotate": ACCOUNT,
    "DELETE /v1/api-keys/{key_id}": ACCOUNT,
    "POST /oauth/token": EVERYBODY,  # the key is the credential, and of the next
    "POST /oauth/revoke": EVERYBODY,
    "GET /.well-known/oauth-authorization-server": EVERYBODY,
    "GET /v1/usage": ACCOUNT,
    "GET /v1/changes": ACCOUNT,
    "GET /.well-known/jwks.json": EVERYBODY,
    "GET /.well-known/change-password": EVERYBODY,
    "GET /livez": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,  # of this host, or with its own token
    "GET /": EVERYBODY,
    "GET /docs": EVERYBODY,
    "GET /verify": EVERYBODY,
    "GET /reset": EVERYBODY,
    "GET /undo": EVERYBODY,
    "GET /newsletter/confirm": EVERYBODY,
    "GET /newsletter/unsubscribe": EVERYBODY,
    "GET /newsletter/preferences": EVERYBODY,
    "GET /assets/{slug}": EVERYBODY,
    "GET /static/{name}": EVERYBODY,
    "GET /dev/mail": EVERYBODY,  # of this host, in development
    "GET /openapi.json": EVERYBODY,
}
# The same for everybody who may have it, or of a file that has its own ticket.
PUBLIC_TO_CACHES = {
    "GET /v1/auth/password-policy",
    "GET /v1/assets",
    "GET /v1/assets/{reference}",
    "GET /v1/assets/{reference}/related",
    "GET /v1/assets/{reference}.jsonld",
    "GET /v1/assets/{reference}.ebucore.xml",
    "GET /v1/assets/{reference}.ninjs.json",
    "GET /v1/assets/{reference}.shotlist.vtt",
    "GET /v1/assets/{reference}.shotlist.otio",
    "GET /v1/feeds/assets.mrss",
    "GET /v1/feeds/assets.atom",
    "GET /v1/feeds/assets.json",
    "GET /sitemap.xml",
    "GET /robots.txt",
    "GET /v1/collections",
    "GET /v1/assets/{reference}/poster.jpg",
    "HEAD /v1/assets/{reference}/poster.jpg",
    "GET /v1/assets/{reference}/preview.mp4",
    "HEAD /v1/assets/{reference}/preview.mp4",
    "GET /v1/exports/assets.{file_format}",
    "HEAD /v1/exports/assets.{file_format}",
    "GET /v1/exports/{export_id}/assets.{file_format}",
    "HEAD /v1/exports/{export_id}/assets.{file_format}",
    "GET /v1/files/{ticket}/{filename}",
    "HEAD /v1/files/{ticket}/{filename}",
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /v1/newsletter/topics",
    "GET /v1/newsletter/archive",
    "GET /v1/newsletter/archive.atom",
    "GET /v1/newsletter/archive.json",
    "GET /v1/newsletter/archive/{number}",
    "GET /",
    "GET /docs",
    "GET /verify",
    "GET /reset",
    "GET /undo",
    "GET /newsletter/confirm",
    "GET /newsletter/unsubscribe",
    "GET /newsletter/preferences",
    "GET /assets/{slug}",
}
# A client may keep these for itself, and ask whether they are still the newest.
PRIVATE_TO_CLIENTS = {"GET /v1/changes"}
ABSENT = "00000000-0000-7000-8000-000000000000"
PARAMETERS = {
    "reference": "harbour-exercise",
    "name": "hd",
    "number": "1",
    "asset_reference": "harbour-exercise",
    "language": "en",
    "keyword_id": ABSENT,
    "session_id": ABSENT,
    "key_id": ABSENT,
    "account_id": ABSENT,
    "upload_id": ABSENT,
    "webhook_id": ABSENT,
    "delivery_id": ABSENT,
    "edition_id": ABSENT,
    "export_id": ABSENT,
    "file_format": "ndjson",
    "saved_search_id": ABSENT,
    "slug": "videos",
    "scope": "sender",
    "ticket": "forged",
    "token": "forged",
    "filename": "a.mp4",
}


def routes_of(app: FastAPI) -> Iterator[str]:
    included = [route for router in (*ROUTERS, dev_mail.router) for route in router.routes]
    own = [route for route in app.routes if isinstance(route, Route)]
    # In development: the caught mail, and the browser app's one page and its files.
    assert len(app.routes) == len(own) + len(ROUTERS) + 3, "a router that ROUTERS does not name"
    for route in (*own, *included):
        assert isinstance(route, Route | APIRoute)
        methods = set(route.methods or ())
        if route in own:
            methods -= {"HEAD"}  # Starlette adds it to its own routes
        yield from (f"{method} {route.path}" for method in methods)


def test_matrix_names_every_route_and_no_other(app: FastAPI) -> None:
    routes = list(routes_of(app))
    assert sorted(routes) == sorted(MATRIX)


@pytest.fixture(scope="module")
async def settled(server_url: str, template: str) -> AsyncIterator[OneConnection]:
    """A database of this module alone, since its transaction stays open between the tests."""
    async with copied_database(server_url, template) as url:
        database = patient_database(url)
        async with rolled_back(database.engine) as settled:
            yield settled
        await database.close()


@pytest.fixture(scope="module")
async def settled_app(
    settled: OneConnection,
    keyring: Keyring,
    hasher: PasswordHasher,
    tmp_path_factory: pytest.TempPathFactory,
) -> FastAPI:
    settings = settings_for(tmp_path_factory.mktemp("roles"))
    unlimited = settings.model_copy(update={"rate_limits": "off"})
    app = await running_app(unlimited, settled, keyring, hasher, clock_at_noon())
    await publish_video(app)
    await add_export(app)
    return app


@pytest.fixture(scope="module")
async def tokens(settled: OneConnection, settled_app: FastAPI, keyring: Keyring) -> dict[str, str]:
    """The Authorization header of each role that has one."""
    tokens: dict[str, str] = {}
    async with Api(settled_app) as client:
        for role in ("member", "editor", "admin"):
            email = f"{role}@example.org"
            session = await sign_up(client, Mailbox(settled, keyring), email)
            tokens |= {role: bearer(session)["Authorization"]}
            async with settled.transaction() as writing:
                of_this = update(Account).where(Account.email == email)
                await writing.execute(of_this.values(role=role))
    token = tokens["admin"]
    return {**tokens, "forger": token[:-5] + token[-5:].swapcase()}


@pytest.fixture
async def clients(
    settled: OneConnection, settled_app: FastAPI, tokens: dict[str, str]
) -> AsyncIterator[dict[str, Api]]:
    """A client for each role, on this host; what it does to the accounts is undone."""
    clients = {role: Api(settled_app, network="127.0.0.1") for role in ROLES}
    for role, token in tokens.items():
        clients[role].headers["Authorization"] = token
    savepoint = await settled.connection.begin_nested()
    yield clients
    await savepoint.rollback()
    for client in clients.values():
        await client.aclose()


async def call(client: httpx.AsyncClient, route: str) -> httpx.Response:
    """With an empty body, where a body may be sent."""
    method, path = route.split(" ")
    has_body = method not in {"GET", "HEAD"} and not path.endswith("downloads")
    json: dict[str, str] | None = {} if has_body else None
    return await client.request(method, path.format(**PARAMETERS), json=json)


def code_of(response: httpx.Response) -> str:
    is_problem = response.headers.get("content-type") == "application/problem+json"
    return str(response.json()["code"]) if is_problem and response.content else OK


@pytest.mark.parametrize("route", MATRIX)
async def test_each_role_may_call_what_the_matrix_says(clients: dict[str, Api], route: str) -> None:
    for role, expected in zip(ROLES, MATRIX[route], strict=True):
        response = await call(clients[role], route)
        assert response.status_code < 500
        if expected == OK:
            assert code_of(response) not in REFUSALS, role
        else:
            assert response.status_code == REFUSALS[expected], role
            if response.request.method != "HEAD":  # whose answers have no body to tell more
                assert code_of(response) == expected, role


@pytest.mark.parametrize("route", sorted(set(MATRIX) - PUBLIC_TO_CACHES - PRIVATE_TO_CLIENTS))
async def test_caches_keep_nothing_that_was_asked_for_with_a_token(
    clients: dict[str, Api], route: str
) -> None:
    response = await call(clients["admin"], route)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("route", sorted(PRIVATE_TO_CLIENTS))
async def test_no_shared_cache_keeps_what_a_client_may(clients: dict[str, Api], route: str) -> None:
    response = await call(clients["member"], route)
    assert response.headers["cache-control"] == "private, no-cache"
