"""What admins may do with other people's accounts, and nobody else."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from app.crypto import PasswordHasher
from app.db import Database
from app.models import Account, AuditEvent, Session
from app.services import accounts
from app.services.emails import parse_email
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Clock,
    Mailbox,
    audited,
    bearer,
    login,
    make_admin,
    rows,
    sign_up,
)

ADMIN = "admin@example.org"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
async def admin(client: httpx.AsyncClient, mailbox: Mailbox, database: Database) -> dict[str, Any]:
    session = await sign_up(client, mailbox, ADMIN, full_name="Ada Min")
    await make_admin(database, ADMIN)
    return session


async def add_account(database: Database, email: str, **fields: Any) -> UUID:
    """An account as a registration would leave it, without the way there."""
    address = parse_email(email)
    account = Account(
        email=address.typed,
        email_key=address.key,
        password_hash="none",
        locale="en",
        created_at=NOON,
        updated_at=NOON,
        **fields,
    )
    async with database.transaction() as session:
        session.add(account)
    return account.id


async def listed(
    client: httpx.AsyncClient, admin: dict[str, Any], path: str = "/v1/accounts", **query: Any
) -> dict[str, Any]:
    response = await client.get(path, params=query, headers=bearer(admin))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def found(client: httpx.AsyncClient, admin: dict[str, Any], **query: Any) -> list[str]:
    """The local parts of the addresses that a search gives."""
    items = (await listed(client, admin, **query))["items"]
    return [item["email"].partition("@")[0] for item in items]


async def change(
    client: httpx.AsyncClient, admin: dict[str, Any], account_id: object, **body: Any
) -> httpx.Response:
    return await client.patch(f"/v1/accounts/{account_id}", json=body, headers=bearer(admin))


# Who may


REFUSALS = {
    None: (401, "login_required"),
    "member": (403, "forbidden"),
    "editor": (403, "forbidden"),
}


@pytest.mark.parametrize("role", [None, "member", "editor", "admin"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/accounts", None),
        ("GET", "/v1/accounts/{id}", None),
        ("PATCH", "/v1/accounts/{id}", {"role": "editor"}),
        ("PATCH", "/v1/accounts/{id}", {"suspended": True}),
        ("GET", "/v1/audit-events", None),
    ],
)
async def test_only_admins_may(
    client: httpx.AsyncClient,
    database: Database,
    admin: dict[str, Any],
    role: str | None,
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    target = await add_account(database, "john@example.org")
    async with database.transaction() as session:
        as_role = update(Account).where(Account.id != target).values(role=role or "admin")
        await session.execute(as_role)
    headers = bearer(admin) if role else {}
    response = await client.request(method, path.format(id=target), json=body, headers=headers)
    if role == "admin":
        assert response.status_code == 200
        return
    assert (response.status_code, response.json()["code"]) == REFUSALS[role]
    [john] = [each for each in await rows(database, Account) if each.id == target]
    assert (john.role, john.suspended_at) == ("member", None)


async def test_stranger_can_not_tell_which_accounts_exist(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox)
    existing = await add_account(database, "john@example.org")
    for account_id in (existing, "01936f6e-0000-7000-8000-000000000000"):
        response = await client.get(f"/v1/accounts/{account_id}", headers=bearer(session))
        assert (response.status_code, response.json()["code"]) == (403, "forbidden")


async def test_role_counts_from_the_database_and_not_from_an_older_token(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any]
) -> None:
    assert (await listed(client, admin))["items"]
    async with database.transaction() as session:
        await session.execute(update(Account).values(role="member"))
    response = await client.get("/v1/accounts", headers=bearer(admin))
    assert response.status_code == 403


async def test_managed_account_shows_no_secret(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any]
) -> None:
    account_id = await add_account(database, "john@example.org", full_name="John")
    shown = await listed(client, admin, f"/v1/accounts/{account_id}")
    assert shown == {
        "id": str(account_id),
        "email": "john@example.org",
        "full_name": "John",
        "organisation": None,
        "country": None,
        "locale": "en",
        "role": "member",
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
        "suspended_at": None,
    }
    assert (await listed(client, admin))["items"][0] == shown


# Finding


@pytest.fixture
async def crowd(database: Database, admin: dict[str, Any]) -> dict[str, Any]:
    """Accounts with names that a careless search would mistake for patterns; gives the admin."""
    people: list[tuple[str, dict[str, Any]]] = [
        ("100percent@example.org", {"full_name": "100% Real", "role": "editor"}),
        ("under_score@example.org", {"organisation": "A_B Films"}),
        ("underxscore@example.org", {"organisation": "AxB Films", "suspended_at": NOON}),
        ("slash@example.org", {"organisation": "Slash/Back\\Slash"}),
        ("emilie@b\u00fccher.example", {"full_name": "\u00c9milie O'Hara", "role": "editor"}),
    ]
    for email, fields in people:
        await add_account(database, email, **fields)
    return admin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%", ["100percent"]),
        ("0% r", ["100percent"]),
        ("_", ["under_score"]),
        ("a_b", ["under_score"]),
        ("AXB", ["underxscore"]),
        ("under", ["underxscore", "under_score"]),
        ("/", ["slash"]),
        ("\\", ["slash"]),
        ("\u00e9MILIE", ["emilie"]),
        ("o'hara", ["emilie"]),
        ("xn--bcher-kva", ["emilie"]),
        ("ada m", ["admin"]),
        ("@EXAMPLE.ORG", ["slash", "underxscore", "under_score", "100percent", "admin"]),
        ("films", ["underxscore", "under_score"]),
        ("argon2", []),
        ("' OR '1'='1", []),
        (".*", []),
    ],
)
async def test_search_looks_for_the_text_itself(
    client: httpx.AsyncClient, crowd: dict[str, Any], text: str, expected: list[str]
) -> None:
    assert await found(client, crowd, q=text) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"role": "editor"}, ["emilie", "100percent"]),
        ({"role": "admin"}, ["admin"]),
        ({"suspended": "true"}, ["underxscore"]),
        ({"suspended": "false", "q": "films"}, ["under_score"]),
        ({"suspended": "true", "role": "editor"}, []),
        ({"q": ""}, ["emilie", "slash", "underxscore", "under_score", "100percent", "admin"]),
    ],
)
async def test_filters_narrow_the_search_together(
    client: httpx.AsyncClient, crowd: dict[str, Any], filters: dict[str, str], expected: list[str]
) -> None:
    assert await found(client, crowd, **filters) == expected


@pytest.mark.parametrize(
    "query", [{"role": "owner"}, {"suspended": "perhaps"}, {"limit": 0}, {"limit": 101}]
)
async def test_search_with_a_wrong_filter_is_refused(
    client: httpx.AsyncClient, admin: dict[str, Any], query: dict[str, Any]
) -> None:
    response = await client.get("/v1/accounts", params=query, headers=bearer(admin))
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == f"/{next(iter(query))}"


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/audit-events"])
async def test_pages_follow_each_other_by_cursor_and_link_without_gap_or_double(
    client: httpx.AsyncClient,
    database: Database,
    admin: dict[str, Any],
    path: str,
) -> None:
    targets = [await add_account(database, f"n{number}@example.org") for number in range(6)]
    for target in targets:
        await change(client, admin, target, role="editor")
    query = {"role": "editor"} if "accounts" in path else {"action": "account_changed_by_admin"}
    whole = await listed(client, admin, path, limit=100, **query)
    assert len(whole["items"]) == 6
    assert whole["next_cursor"] is None

    seen, url = [], f"{path}?limit=4&{'&'.join(f'{k}={v}' for k, v in query.items())}"
    response = await client.get(url, headers=bearer(admin))
    seen += response.json()["items"]
    assert len(seen) == 4
    await add_account(database, "late@example.org", role="editor")  # belongs before page 1
    link = response.headers["link"]
    assert link.endswith('; rel="next"')
    assert response.json()["next_cursor"] in link
    response = await client.get(link.partition(">")[0][1:], headers=bearer(admin))
    seen += response.json()["items"]
    assert seen == whole["items"]
    assert response.json()["next_cursor"] is None
    assert "link" not in response.headers


async def test_page_that_ends_with_the_last_item_has_no_next(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any]
) -> None:
    await add_account(database, "john@example.org")
    page = await listed(client, admin, limit=2)
    assert (len(page["items"]), page["next_cursor"]) == (2, None)


async def test_list_shows_twenty_unless_told(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any]
) -> None:
    for number in range(20):
        await add_account(database, f"n{number}@example.org")
    page = await listed(client, admin)
    assert len(page["items"]) == 20
    assert page["next_cursor"]


async def test_cursor_that_was_not_given_out_for_this_search_is_refused(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any]
) -> None:
    await add_account(database, "john@example.org")
    cursor = (await listed(client, admin, limit=1))["next_cursor"]
    forged = base64.urlsafe_b64encode(b"\0" * 16 + b'["x"]').rstrip(b"=").decode()
    for path, query in [
        ("/v1/accounts", {"cursor": cursor, "q": "john"}),
        ("/v1/accounts", {"cursor": cursor, "role": "member"}),
        ("/v1/audit-events", {"cursor": cursor}),
        ("/v1/accounts", {"cursor": cursor[:-2] + "AA"}),
        ("/v1/accounts", {"cursor": forged}),
        ("/v1/accounts", {"cursor": ""}),
        ("/v1/accounts", {"cursor": "\u00e9"}),
        ("/v1/accounts", {"cursor": "1"}),
    ]:
        response = await client.get(path, params=query, headers=bearer(admin))
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor"), query


@pytest.mark.parametrize(
    ("account_id", "status"),
    [("01936f6e-0000-7000-8000-000000000000", 404), ("admin", 422), ("1", 422), ("%00", 400)],
)
async def test_account_that_does_not_exist(
    client: httpx.AsyncClient, admin: dict[str, Any], account_id: str, status: int
) -> None:
    path = f"/v1/accounts/{account_id}"
    assert (await client.get(path, headers=bearer(admin))).status_code == status
    response = await client.patch(path, json={"role": "editor"}, headers=bearer(admin))
    assert response.status_code == status


# Suspending and giving roles


async def test_suspension_ends_every_session_and_is_lifted_without_giving_them_back(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, admin: dict[str, Any]
) -> None:
    john = await sign_up(client, mailbox, "john@example.org")
    account_id = john["account"]["id"]
    clock.now += timedelta(minutes=1)
    suspended = await change(client, admin, account_id, suspended=True)
    assert suspended.status_code == 200
    assert suspended.json()["suspended_at"] == "2026-11-23T12:01:00Z"
    assert (await client.get("/v1/account", headers=bearer(john))).status_code == 401
    token = {"refresh_token": john["refresh_token"]}
    assert (await client.post("/v1/auth/refresh", json=token)).status_code == 401
    assert (await login(client, "john@example.org")).json()["code"] == "account_suspended"

    clock.now += timedelta(minutes=1)
    again = await change(client, admin, account_id, suspended=True)
    assert again.json()["suspended_at"] == "2026-11-23T12:01:00Z"  # since when it holds
    lifted = await change(client, admin, account_id, suspended=False)
    assert lifted.json()["suspended_at"] is None
    assert (await login(client, "john@example.org")).status_code == 200
    assert (await client.post("/v1/auth/refresh", json=token)).status_code == 401


@pytest.mark.parametrize("role", ["editor", "admin"])
async def test_new_role_needs_a_new_login_which_has_its_scopes(
    client: httpx.AsyncClient, mailbox: Mailbox, admin: dict[str, Any], role: str
) -> None:
    john = await sign_up(client, mailbox, "john@example.org")
    assert scope_of(john) == "account assets:download"
    changed = await change(client, admin, john["account"]["id"], role=role)
    assert changed.json()["role"] == role
    assert (await client.get("/v1/account", headers=bearer(john))).status_code == 401
    renewed = (await login(client, "john@example.org")).json()
    extra = {"editor": "assets:write", "admin": "assets:write accounts:manage"}
    assert scope_of(renewed) == f"account assets:download {extra[role]}"
    status = (await client.get("/v1/accounts", headers=bearer(renewed))).status_code
    assert status == (200 if role == "admin" else 403)


def scope_of(session: dict[str, Any]) -> str:
    payload = session["access_token"].split(".")[1]
    scope: str = json.loads(base64.urlsafe_b64decode(payload + "=="))["scope"]
    return scope


@pytest.mark.parametrize("body", [{}, {"role": "member"}, {"suspended": False}])
async def test_change_to_what_already_is_logs_nobody_out(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    admin: dict[str, Any],
    body: dict[str, Any],
) -> None:
    john = await sign_up(client, mailbox, "john@example.org")
    assert (await change(client, admin, john["account"]["id"], **body)).status_code == 200
    assert (await client.get("/v1/account", headers=bearer(john))).status_code == 200
    assert "account_changed_by_admin" not in await audited(database)


@pytest.mark.parametrize("body", [{"role": "member"}, {"suspended": True}, {"role": "admin"}])
async def test_admin_can_not_change_the_own_account(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any], body: dict[str, Any]
) -> None:
    """Or the last admin might lock everybody out."""
    refused = await change(client, admin, admin["account"]["id"], **body)
    assert (refused.status_code, refused.json()["code"]) == (409, "own_account")
    [account] = await rows(database, Account)
    assert (account.role, account.suspended_at) == ("admin", None)
    assert (await client.get("/v1/accounts", headers=bearer(admin))).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"role": "owner"}, "/role"),
        ({"role": 1}, "/role"),
        ({"suspended": "yes"}, "/suspended"),
        ({"suspended": 1}, "/suspended"),
        ({"password": NEW_PASSWORD}, "/password"),
        ({"email": "evil@example.org"}, "/email"),
        ({"full_name": "Eve"}, "/full_name"),
    ],
)
async def test_admin_sets_neither_a_password_nor_anything_else_of_others(
    client: httpx.AsyncClient,
    database: Database,
    admin: dict[str, Any],
    body: dict[str, Any],
    pointer: str,
) -> None:
    target = await add_account(database, "john@example.org")
    refused = await change(client, admin, target, **body)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


# The audit trail


async def test_change_by_an_admin_is_audited_with_who_did_what_from_where(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any]
) -> None:
    target = await add_account(database, "john@example.org")
    client.headers["x-request-id"] = "who-did-what-1"
    await change(client, admin, target, role="editor", suspended=True)
    [event] = (await listed(client, admin, "/v1/audit-events", account_id=target))["items"]
    assert event == {
        "id": event["id"],
        "occurred_at": "2026-11-23T12:00:00Z",
        "action": "account_changed_by_admin",
        "subject": str(target),
        "actor_id": admin["account"]["id"],
        "network": event["network"],
        "request_id": "who-did-what-1",
        "details": {"role": "editor", "suspended": True},
    }
    assert event["network"].endswith("/32")


async def test_events_are_listed_newest_first_and_filtered_by_account_and_action(
    client: httpx.AsyncClient, mailbox: Mailbox, admin: dict[str, Any]
) -> None:
    john = await sign_up(client, mailbox, "john@example.org")
    await login(client, "john@example.org", "Wrong-Horse-7-Battery")
    await login(client, "nobody@example.org")
    john_id, admin_id = john["account"]["id"], admin["account"]["id"]

    async def events(**query: Any) -> list[tuple[str, str | None]]:
        answer = await listed(client, admin, "/v1/audit-events", **query)
        return [(item["action"], item["subject"]) for item in answer["items"]]

    assert await events() == [
        ("login_failed", None),
        ("login_failed", john_id),
        ("login", john_id),
        ("registered", john_id),
        ("login", admin_id),
        ("registered", admin_id),
    ]
    assert await events(account_id=john_id) == [
        ("login_failed", john_id),
        ("login", john_id),
        ("registered", john_id),
    ]
    assert await events(action="login") == [("login", john_id), ("login", admin_id)]
    assert await events(action="login", account_id=admin_id) == [("login", admin_id)]
    assert await events(action="log") == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_audit_trail_can_only_be_read(
    client: httpx.AsyncClient, database: Database, admin: dict[str, Any], method: str
) -> None:
    [event, *_] = await rows(database, AuditEvent)
    for path in ("/v1/audit-events", f"/v1/audit-events/{event.id}"):
        response = await client.request(method, path, headers=bearer(admin))
        assert response.status_code in {404, 405}


# The first admin


async def create_admin(
    database: Database, hasher: PasswordHasher, clock: Clock, email: str
) -> bool:
    password_hash = await hasher.hash(NEW_PASSWORD)
    async with database.transaction() as session:
        return await accounts.create_admin(
            session, parse_email(email), password_hash, locale="en", now=clock.now
        )


async def test_first_admin_is_made_on_the_server(
    client: httpx.AsyncClient, database: Database, hasher: PasswordHasher, clock: Clock
) -> None:
    assert await create_admin(database, hasher, clock, "Root@Example.org")
    session = (await login(client, "root@example.org", NEW_PASSWORD)).json()
    assert (session["account"]["email"], session["account"]["role"]) == (
        "Root@Example.org",
        "admin",
    )
    assert (await client.get("/v1/accounts", headers=bearer(session))).status_code == 200
    assert (await audited(database))[0] == "admin_created"


async def test_account_that_is_made_an_admin_gets_the_password_and_loses_its_sessions(
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    hasher: PasswordHasher,
    clock: Clock,
) -> None:
    """Or whoever has one of them would be an admin."""
    session = await sign_up(client, mailbox, "Jane@example.org", full_name="Jane")
    john = await sign_up(client, mailbox, "john@example.org")
    assert not await create_admin(database, hasher, clock, "jane@EXAMPLE.org")
    assert (await client.get("/v1/account", headers=bearer(session))).status_code == 401
    assert (await client.get("/v1/account", headers=bearer(john))).status_code == 200
    assert (await login(client, "jane@example.org", PASSWORD)).status_code == 401
    renewed = (await login(client, "jane@example.org", NEW_PASSWORD)).json()["account"]
    assert (renewed["id"], renewed["full_name"]) == (session["account"]["id"], "Jane")
    assert (renewed["email"], renewed["role"]) == ("Jane@example.org", "admin")
    roles = {account.email: account.role for account in await rows(database, Account)}
    assert roles["john@example.org"] == "member"
    assert len(await rows(database, Session)) == 3
