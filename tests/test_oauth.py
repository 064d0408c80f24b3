"""The client credentials grant, its errors one by one, revocation and metadata."""

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from jose import jwt

from app import crypto
from app.db import Database
from app.models import RevokedToken
from app.services.oauth import OAuthError, read_credentials, read_form
from tests.factories import publish_video
from tests.helpers import Api, Clock, Mailbox, audited, bearer, rows, sign_up
from tests.keys import KEYS, as_key, forget_what_is_known, make_key

TOKEN, REVOKE = "/oauth/token", "/oauth/revoke"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = {"grant_type": "client_credentials"}
Made = dict[str, Any]


@pytest.fixture
async def jane(client: httpx.AsyncClient, mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def key(client: httpx.AsyncClient, jane: dict[str, str]) -> Made:
    return await make_key(client, jane, scopes=["assets:read", "assets:download", "changes:read"])


def basic(made: Made) -> httpx.BasicAuth:
    return httpx.BasicAuth(made["id"], made["key"])


def in_form(made: Made) -> dict[str, str]:
    return {"client_id": made["id"], "client_secret": made["key"]}


async def token_of(client: httpx.AsyncClient, made: Made, **more: str) -> str:
    response = await client.post(TOKEN, data={**GRANT, **more}, auth=basic(made))
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


def assert_refused(response: httpx.Response, error: str) -> None:
    """RFC 6749, section 5.2."""
    assert response.status_code == (401 if error == "invalid_client" else 400), response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    body = response.json()
    assert set(body) == {"error", "error_description"}
    assert body["error"] == error
    assert ("www-authenticate" in response.headers) == (error == "invalid_client")
    if error == "invalid_client":
        assert response.headers["www-authenticate"].startswith('Basic realm="')


# The grant


@pytest.mark.parametrize("way", ["basic", "form", "both ids"])
async def test_key_is_exchanged_for_a_token_of_an_hour(
    client: httpx.AsyncClient, key: Made, way: str
) -> None:
    if way == "form":
        response = await client.post(TOKEN, data={**GRANT, **in_form(key)})
    else:
        named = {"client_id": key["id"]} if way == "both ids" else {}
        response = await client.post(TOKEN, data={**GRANT, **named}, auth=basic(key))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    answer = response.json()
    token = answer.pop("access_token")
    scope = "assets:read assets:download changes:read"
    assert answer == {"token_type": "Bearer", "expires_in": 3600, "scope": scope}
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    claims = jwt.get_unverified_claims(token)
    assert claims.pop("jti")
    assert claims == {
        "iss": "http://127.0.0.1:8000",
        "aud": "http://127.0.0.1:8000",
        "sub": key["id"],
        "client_id": key["id"],
        "scope": scope,
        "iat": 1795435200,
        "exp": 1795438800,
    }
    assert (await client.get("/v1/usage", headers=as_key(token))).status_code == 200


async def test_token_is_good_for_its_hour(
    client: httpx.AsyncClient, key: Made, clock: Clock
) -> None:
    token = await token_of(client, key)
    clock.now += timedelta(hours=1, seconds=29)
    assert (await client.get("/v1/usage", headers=as_key(token))).status_code == 200
    clock.now += timedelta(seconds=1)  # half a minute of leeway, as for every token
    response = await client.get("/v1/usage", headers=as_key(token))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


async def test_token_never_outlives_its_key(
    client: httpx.AsyncClient, jane: dict[str, str], clock: Clock
) -> None:
    short = await make_key(client, jane, expires_at="2026-11-23T12:10:00Z")
    response = await client.post(TOKEN, data=GRANT, auth=basic(short))
    assert response.json()["expires_in"] == 600
    token = response.json()["access_token"]
    clock.now += timedelta(minutes=10)
    assert (await client.get("/v1/usage", headers=as_key(token))).status_code == 401


async def test_token_may_be_asked_for_fewer_scopes(client: httpx.AsyncClient, key: Made) -> None:
    data = {**GRANT, "scope": "changes:read assets:read"}
    response = await client.post(TOKEN, data=data, auth=basic(key))
    assert response.json()["scope"] == "assets:read changes:read"
    token = as_key(response.json()["access_token"])
    assert (await client.get("/v1/assets", headers=token)).status_code == 200
    path = "/v1/assets/x/renditions/hd/downloads"
    refused = await client.post(path, headers=token)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


async def test_token_of_a_key_opens_nothing_that_is_for_people(
    client: httpx.AsyncClient, key: Made
) -> None:
    token = as_key(await token_of(client, key))
    for path in ("/v1/account", KEYS):
        refused = await client.get(path, headers=token)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


async def test_download_by_a_token_is_one_by_its_key(
    app: FastAPI, client: httpx.AsyncClient, jane: dict[str, str], key: Made
) -> None:
    video = await publish_video(app)
    token = as_key(await token_of(client, key))
    url = (await client.post(video.downloads, headers=token)).json()["url"]
    [item] = (await client.get("/v1/account/downloads", headers=jane)).json()["items"]
    assert item["key_id"] == key["id"]
    await client.delete(f"{KEYS}/{key['id']}", headers=jane)
    assert (await client.get(url)).status_code == 403


async def test_token_dies_with_its_key(
    client: httpx.AsyncClient, jane: dict[str, str], key: Made
) -> None:
    token = as_key(await token_of(client, key))
    assert (await client.get("/v1/usage", headers=token)).status_code == 200
    await client.delete(f"{KEYS}/{key['id']}", headers=jane)
    forget_what_is_known(client)
    refused = await client.get("/v1/usage", headers=token)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert_refused(await client.post(TOKEN, data=GRANT, auth=basic(key)), "invalid_client")


async def test_former_secret_authenticates_until_its_overlap_ends(
    client: httpx.AsyncClient, jane: dict[str, str], key: Made, clock: Clock
) -> None:
    path = f"{KEYS}/{key['id']}/rotate"
    rotated = (await client.post(path, json={"overlap_seconds": 60}, headers=jane)).json()
    clock.now += timedelta(seconds=59)
    await token_of(client, key)
    clock.now += timedelta(seconds=1)
    assert_refused(await client.post(TOKEN, data=GRANT, auth=basic(key)), "invalid_client")
    await token_of(client, rotated)


# Errors


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no client": ({"data": GRANT}, "invalid_client"),
    "no secret": ({"data": {**GRANT, "client_id": "{id}"}}, "invalid_client"),
    "empty secret": (
        {"data": {**GRANT, "client_id": "{id}", "client_secret": ""}},
        "invalid_client",
    ),
    "no id": ({"data": {**GRANT, "client_secret": "{key}"}}, "invalid_client"),
    "unknown id": (
        {"data": {**GRANT, "client_id": str(UUID(int=7)), "client_secret": "{key}"}},
        "invalid_client",
    ),
    "id that is none": (
        {"data": {**GRANT, "client_id": "studio", "client_secret": "{key}"}},
        "invalid_client",
    ),
    "wrong secret": (
        {"data": {**GRANT, "client_id": "{id}", "client_secret": crypto.new_api_key()}},
        "invalid_client",
    ),
    "secret without form": (
        {"data": {**GRANT, "client_id": "{id}", "client_secret": "é\N{GRINNING FACE}"}},
        "invalid_client",
    ),
    "bearer": (
        {"data": GRANT, "headers": {"Authorization": "Bearer {key}"}},
        "invalid_client",
    ),
    "basic that is not base64": (
        {"data": GRANT, "headers": {"Authorization": "Basic ???"}},
        "invalid_client",
    ),
    "basic without a colon": (
        {"data": GRANT, "headers": {"Authorization": "Basic YWJj"}},
        "invalid_client",
    ),
    "basic that is not text": (
        {"data": GRANT, "headers": {"Authorization": "Basic //79"}},
        "invalid_client",
    ),
    "header and form": (
        {"data": {**GRANT, "client_secret": "{key}"}, "auth": ("{id}", "{key}")},
        "invalid_request",
    ),
    "two ids": (
        {"data": {**GRANT, "client_id": str(UUID(int=7))}, "auth": ("{id}", "{key}")},
        "invalid_request",
    ),
    "no grant type": (
        {"data": {"scope": "assets:read"}, "auth": ("{id}", "{key}")},
        "invalid_request",
    ),
    "empty grant type": (
        {"data": {"grant_type": ""}, "auth": ("{id}", "{key}")},
        "invalid_request",
    ),
    "no body": ({"auth": ("{id}", "{key}")}, "invalid_request"),
    "JSON": ({"json": GRANT, "auth": ("{id}", "{key}")}, "invalid_request"),
    "no content type": (
        {"content": b"grant_type=client_credentials", "auth": ("{id}", "{key}")},
        "invalid_request",
    ),
    "grant type twice": (
        {
            "content": b"grant_type=client_credentials&grant_type=client_credentials",
            "headers": FORM,
            "auth": ("{id}", "{key}"),
        },
        "invalid_request",
    ),
    "scope twice": (
        {
            "content": b"grant_type=client_credentials&scope=assets:read&scope=changes:read",
            "headers": FORM,
            "auth": ("{id}", "{key}"),
        },
        "invalid_request",
    ),
    "unknown parameter twice": (
        {
            "content": b"grant_type=client_credentials&a=1&a=2",
            "headers": FORM,
            "auth": ("{id}", "{key}"),
        },
        "invalid_request",
    ),
    "not UTF-8": (
        {
            "content": b"grant_type=client_credentials&scope=%FF",
            "headers": FORM,
            "auth": ("{id}", "{key}"),
        },
        "invalid_request",
    ),
    "bytes": (
        {"content": b"grant_type=\xff\xfe", "headers": FORM, "auth": ("{id}", "{key}")},
        "invalid_request",
    ),
    "many parameters": (
        {
            "content": b"&".join(b"p%d=1" % number for number in range(60)),
            "headers": FORM,
            "auth": ("{id}", "{key}"),
        },
        "invalid_request",
    ),
    "password grant": (
        {"data": {"grant_type": "password"}, "auth": ("{id}", "{key}")},
        "unsupported_grant_type",
    ),
    "code grant": (
        {"data": {"grant_type": "authorization_code"}, "auth": ("{id}", "{key}")},
        "unsupported_grant_type",
    ),
    "scope that the key has not": (
        {"data": {**GRANT, "scope": "assets:read webhooks:manage"}, "auth": ("{id}", "{key}")},
        "invalid_scope",
    ),
    "unknown scope": (
        {"data": {**GRANT, "scope": "everything"}, "auth": ("{id}", "{key}")},
        "invalid_scope",
    ),
    "scope that is not well-formed": (
        {"data": {**GRANT, "scope": "assets:read  changes:read"}, "auth": ("{id}", "{key}")},
        "invalid_scope",
    ),
}


def filled(value: Any, made: Made) -> Any:
    """With the id and the secret of a key in their places."""
    if isinstance(value, str):
        return value.replace("{id}", made["id"]).replace("{key}", made["key"])
    if isinstance(value, dict):
        return {name: filled(each, made) for name, each in value.items()}
    return tuple(filled(each, made) for each in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("case", REFUSED)
async def test_refusal_is_as_rfc_6749_has_it(
    client: httpx.AsyncClient, key: Made, case: str
) -> None:
    request, error = REFUSED[case]
    assert_refused(await client.post(TOKEN, **filled(request, key)), error)


async def test_refusal_does_not_repeat_what_was_sent(client: httpx.AsyncClient, key: Made) -> None:
    secret = "My-Secret-Horse-7"
    for data in (
        {"client_id": secret, "client_secret": secret},
        {**in_form(key), "grant_type": secret},
        {**in_form(key), **GRANT, "scope": secret},
    ):
        response = await client.post(TOKEN, data=data)
        assert response.status_code in {400, 401}
        assert secret not in response.text


@pytest.mark.parametrize("path", [TOKEN, REVOKE])
async def test_other_methods_and_large_bodies_are_refused_as_everywhere(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    response = await client.post(path, content=b"a=" + b"x" * 9000, headers=FORM)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_sixty_failures_a_minute_are_answered_and_do_not_hold_up_others(
    app: FastAPI, jane: dict[str, str], client: httpx.AsyncClient, clock: Clock
) -> None:
    made = await make_key(client, jane)
    wrong = {**GRANT, "client_id": made["id"], "client_secret": crypto.new_api_key()}
    async with Api(app, network="198.51.100.9") as program:
        statuses = [(await program.post(TOKEN, data=wrong)).status_code for _ in range(60)]
        assert statuses == [401] * 60
        refused = await program.post(TOKEN, data=wrong)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert '"auth";q=60;w=60' in refused.headers["ratelimit-policy"]
        # Whoever shares the address and has a good key is none the worse for it.
        right = await program.post(TOKEN, data={**GRANT, **in_form(made)})
        assert right.status_code == 200
        assert '"auth"' not in right.headers["ratelimit-policy"]
        clock.now += timedelta(minutes=1)
        assert (await program.post(TOKEN, data=wrong)).status_code == 401


def test_basic_credentials_are_percent_decoded() -> None:
    form_encoded = f"{quote(str(UUID(int=7)), safe='')}:a%3Ab%2Bc+d"
    header = f"Basic {base64.b64encode(form_encoded.encode()).decode()}"
    shown = read_credentials({}, header)
    assert (shown.client_id, shown.secret) == (UUID(int=7), "a:b+c d")
    assert "a:b" not in repr(shown)


def test_form_leaves_out_what_is_empty() -> None:
    content_type = "application/x-www-form-urlencoded; charset=UTF-8"
    assert read_form(b"a=1&b=&c=%20x+y", content_type) == {"a": "1", "c": " x y"}
    with pytest.raises(OAuthError):
        read_form(b"a=&a=", content_type)


# Revocation


async def revoke(client: httpx.AsyncClient, made: Made, **form: str) -> httpx.Response:
    return await client.post(REVOKE, data=form, auth=basic(made))


@pytest.mark.parametrize(
    "hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "x"}]
)
async def test_client_ends_its_own_token_and_no_other(
    client: httpx.AsyncClient, key: Made, database: Database, hint: dict[str, str]
) -> None:
    token, other = await token_of(client, key), await token_of(client, key)
    for each in (token, other):
        assert (await client.get("/v1/usage", headers=as_key(each))).status_code == 200
    for _ in range(2):
        response = await revoke(client, key, token=token, **hint)
        assert (response.status_code, response.content) == (200, b"")
    forget_what_is_known(client)
    refused = await client.get("/v1/usage", headers=as_key(token))
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert (await client.get("/v1/usage", headers=as_key(other))).status_code == 200
    assert len(await rows(database, RevokedToken)) == 1
    assert (await audited(database)).count("api_key_token_revoked") == 1


class Weighing:
    """A reader that notes how long the rows are that it is given."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.lengths: list[int] = []

    async def fetchrow(self, query: str, *args: Any) -> Any:
        row = await self._reader.fetchrow(query, *args)
        self.lengths.append(len(repr(dict(row))))
        return row


@pytest.mark.parametrize("by", ["key", "token"])
async def test_requests_cost_the_same_however_many_tokens_were_given_back(
    app: FastAPI, client: httpx.AsyncClient, key: Made, database: Database, by: str
) -> None:
    headers = as_key(key["key"] if by == "key" else await token_of(client, key))
    app.state.keys._records._reader = reader = Weighing(database.reader)
    app.state.keys._records._clock = lambda: 0  # a request that takes long does not read again
    lengths = []
    for _ in range(3):
        forget_what_is_known(client)
        reader.lengths.clear()
        assert (await client.get("/v1/usage", headers=headers)).status_code == 200
        lengths += reader.lengths
        assert (await revoke(client, key, token=await token_of(client, key))).is_success
    assert lengths == lengths[:1] * 3


@pytest.mark.parametrize("kind", ["garbage", "forged", "expired", "of a session"])
async def test_token_that_is_not_good_is_as_good_as_revoked(
    client: httpx.AsyncClient,
    jane: dict[str, str],
    key: Made,
    database: Database,
    clock: Clock,
    kind: str,
) -> None:
    token = await token_of(client, key)
    if kind == "expired":
        clock.now += timedelta(hours=2)
    signature = token.rpartition(".")[2]
    shown = {
        "garbage": "x.y.z",
        "forged": token.replace(signature, signature[::-1]),
        "expired": token,
        "of a session": jane["Authorization"].removeprefix("Bearer "),
    }[kind]
    response = await revoke(client, key, token=shown)
    assert (response.status_code, response.content) == (200, b"")
    assert await rows(database, RevokedToken) == []
    if kind == "of a session":
        assert (await client.get("/v1/account", headers=jane)).status_code == 200


async def test_token_of_another_client_can_not_be_revoked(
    client: httpx.AsyncClient, jane: dict[str, str], key: Made
) -> None:
    token = await token_of(client, key)
    other = await make_key(client, jane)
    assert_refused(await revoke(client, other, token=token), "unauthorized_client")
    forget_what_is_known(client)
    assert (await client.get("/v1/usage", headers=as_key(token))).status_code == 200


async def test_key_itself_is_not_revoked_so(client: httpx.AsyncClient, key: Made) -> None:
    assert_refused(await revoke(client, key, token=key["key"]), "unsupported_token_type")
    assert (await client.get("/v1/usage", headers=as_key(key["key"]))).status_code == 200


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token_type_hint": "access_token"}])
async def test_revocation_without_a_token_is_refused(
    client: httpx.AsyncClient, key: Made, form: dict[str, str]
) -> None:
    assert_refused(await revoke(client, key, **form), "invalid_request")


async def test_revocation_needs_the_client(client: httpx.AsyncClient, key: Made) -> None:
    token = await token_of(client, key)
    assert_refused(await client.post(REVOKE, data={"token": token}), "invalid_client")
    wrong = {"token": token, "client_id": key["id"], "client_secret": crypto.new_api_key()}
    assert_refused(await client.post(REVOKE, data=wrong), "invalid_client")
    twice = {"content": f"token={token}&token={token}", "headers": FORM, "auth": basic(key)}
    assert_refused(await client.post(REVOKE, **twice), "invalid_request")  # type: ignore[arg-type]  # of httpx's many
    assert (await client.get("/v1/usage", headers=as_key(token))).status_code == 200


# Metadata


async def test_metadata_is_what_rfc_8414_asks_for(client: httpx.AsyncClient) -> None:
    response = await client.get("/.well-known/oauth-authorization-server")
    assert response.headers["content-type"] == "application/json"
    base = "http://127.0.0.1:8000"
    assert response.json() == {
        "issuer": base,
        "token_endpoint": f"{base}/oauth/token",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "service_documentation": f"{base}/docs",
        "scopes_supported": ["assets:read", "assets:download", "changes:read", "webhooks:manage"],
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
        ],
    }


async def test_library_that_only_knows_the_metadata_gets_a_token_it_can_check(
    client: httpx.AsyncClient, key: Made
) -> None:
    found = (await client.get("/.well-known/oauth-authorization-server")).json()
    issued = await client.post(found["token_endpoint"], data=GRANT, auth=basic(key))
    token = issued.json()["access_token"]
    jwks = (await client.get(found["jwks_uri"])).json()
    kid = jwt.get_unverified_header(token)["kid"]
    [public] = [each for each in jwks["keys"] if each["kid"] == kid]
    claims = jwt.decode(
        token,
        json.dumps(public),
        algorithms=["ES256"],
        audience=found["issuer"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == key["id"]
    revoked = await client.post(
        found["revocation_endpoint"], data={"token": token}, auth=basic(key)
    )
    assert revoked.status_code == 200
