"""One's own account: the profile, the password, everything held as one document, and its end."""

import base64
import json
import re
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import LargeBinary, text

from app.crypto import Keyring
from app.db import Database
from app.models import (
    Account,
    ApiKey,
    ApiKeySecret,
    ApiKeyUsage,
    AuditEvent,
    Base,
    Delivery,
    Download,
    Edition,
    OutboxMail,
    RevokedToken,
    Signup,
    Subscriber,
    Upload,
)
from app.services import asset_editing, subscriptions, suppressions
from app.services.consents import email_hash
from app.services.context import Editor
from app.services.verification_flows import address_hash
from tests.factories import PUBLISHED_AT, add_file, publish_video
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Api,
    Clock,
    Mailbox,
    audited,
    bearer,
    login,
    make_admin,
    register,
    rows,
    sign_up,
    verify,
)

JANE, JOHN = "Jane.Doe@Example.org", "john@example.org"
WRONG = "Wrong-Horse-7-Battery"


async def patch(
    client: httpx.AsyncClient, session: dict[str, Any], body: Any, **headers: str
) -> httpx.Response:
    headers = {**bearer(session), **headers}
    return await client.patch("/v1/account", content=json.dumps(body), headers=headers)


JSON = {"content-type": "application/json"}


async def delete(
    client: httpx.AsyncClient, session: dict[str, Any], password: str = PASSWORD
) -> httpx.Response:
    body = {"password": password}
    return await client.request("DELETE", "/v1/account", json=body, headers=bearer(session))


async def export(client: httpx.AsyncClient, session: dict[str, Any]) -> httpx.Response:
    return await client.get("/v1/account/export", headers=bearer(session))


# The profile


async def test_account_shows_itself_and_no_secret(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox, JANE, full_name="Jane Doe", country="BE", locale="fr")
    me = await client.get("/v1/account", headers=bearer(session))
    assert me.json() == {
        "id": session["account"]["id"],
        "email": JANE,
        "full_name": "Jane Doe",
        "organisation": None,
        "country": "BE",
        "locale": "fr",
        "role": "member",
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
    }


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json"])
async def test_patch_changes_what_it_names_empties_what_is_null_and_leaves_the_rest(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, media_type: str
) -> None:
    session = await sign_up(client, mailbox, JANE, full_name="Jane", organisation="RTBF")
    clock.now += timedelta(minutes=1)
    changes = {"full_name": "Jane Doe", "organisation": None, "locale": "fr"}
    changed = await patch(client, session, changes, **{"content-type": media_type})
    assert changed.status_code == 200
    assert changed.json() == {
        **session["account"],
        **changes,
        "updated_at": "2026-11-23T12:01:00Z",
    }
    me = await client.get("/v1/account", headers=bearer(session))
    assert me.json() == changed.json()


async def test_empty_patch_changes_nothing(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, database: Database
) -> None:
    session = await sign_up(client, mailbox, JANE, full_name="Jane")
    clock.now += timedelta(minutes=1)
    response = await patch(client, session, {}, **JSON)
    assert (response.status_code, response.json()) == (200, session["account"])
    assert "profile_changed" not in await audited(database)


async def test_change_of_the_profile_is_audited_by_the_names_of_fields_alone(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox, JANE)
    await patch(client, session, {"full_name": "Jane Roe", "country": "BE"}, **JSON)
    [event] = [each for each in await rows(database, AuditEvent) if "profile" in each.action]
    assert event.details == {"fields": ["country", "full_name"]}
    assert event.subject == session["account"]["id"]


@pytest.mark.parametrize(
    "field",
    [
        "id",
        "email",
        "email_key",
        "role",
        "password",
        "password_hash",
        "suspended_at",
        "created_at",
        "updated_at",
        "fullName",
        "full_name ",
        "__class__",
    ],
)
async def test_patch_of_anything_but_the_profile_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, field: str
) -> None:
    session = await sign_up(client, mailbox, JANE)
    response = await patch(client, session, {"full_name": "Eve", field: "admin"}, **JSON)
    assert (response.status_code, response.json()["code"]) == (422, "unknown_field")
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{field}"]
    me = await client.get("/v1/account", headers=bearer(session))
    assert me.json() == session["account"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("full_name", ""),
        ("full_name", "   "),
        ("full_name", 7),
        ("full_name", True),
        ("full_name", ["Jane"]),
        ("full_name", {"first": "Jane"}),
        ("full_name", "x" * 201),
        ("full_name", "Jane\r\nBcc: v@x.org"),
        ("full_name", "Jane\u202eeoD"),
        ("organisation", "a\u0000b"),
        ("country", "be"),
        ("country", "BEL"),
        ("country", "BE\n"),
        ("country", "\u0412\u0415"),
        ("country", ""),
        ("locale", None),
        ("locale", "EN"),
        ("locale", "../en"),
        ("locale", "en\n"),
        ("locale", ""),
    ],
)
async def test_wrong_value_is_refused_with_its_pointer(
    client: httpx.AsyncClient, mailbox: Mailbox, field: str, value: object
) -> None:
    session = await sign_up(client, mailbox, JANE)
    response = await patch(client, session, {field: value}, **JSON)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{field}"]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("  Jane Doe ", "Jane Doe"),
        ("x" * 200, "x" * 200),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("Robert'); DROP TABLE account;--", "Robert'); DROP TABLE account;--"),
        ("<b>Jane</b> & Co", "<b>Jane</b> & Co"),
        ("\u738b\u5c0f\u660e \U0001f3a5", "\u738b\u5c0f\u660e \U0001f3a5"),
    ],
)
async def test_name_of_any_script_is_kept_as_typed(
    client: httpx.AsyncClient, mailbox: Mailbox, value: str, stored: str
) -> None:
    session = await sign_up(client, mailbox, JANE)
    response = await patch(client, session, {"full_name": value}, **JSON)
    assert (response.status_code, response.json()["full_name"]) == (200, stored)


@pytest.mark.parametrize("body", [None, [], "x", 7, [{"op": "replace"}]])
async def test_patch_that_is_no_object_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, body: object
) -> None:
    session = await sign_up(client, mailbox, JANE)
    assert (await patch(client, session, body, **JSON)).status_code == 422


@pytest.mark.parametrize(
    "media_type", ["application/json-patch+json", "text/plain", "multipart/form-data", ""]
)
async def test_patch_of_another_media_type_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, media_type: str
) -> None:
    session = await sign_up(client, mailbox, JANE)
    response = await patch(client, session, {}, **{"content-type": media_type})
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/account", None),
        ("PATCH", "/v1/account", {}),
        ("DELETE", "/v1/account", {"password": PASSWORD}),
        ("GET", "/v1/account/export", None),
        (
            "POST",
            "/v1/account/password",
            {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        ),
    ],
)
async def test_everything_of_an_account_needs_its_login(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    response = await client.request(method, path, json=body)
    assert (response.status_code, response.json()["code"]) == (401, "login_required")
    assert response.headers["www-authenticate"] == "Bearer"


# The password


async def change_password(
    client: httpx.AsyncClient,
    session: dict[str, Any],
    current: str = PASSWORD,
    new: str = NEW_PASSWORD,
) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return await client.post("/v1/account/password", json=body, headers=bearer(session))


async def test_change_of_password_ends_all_other_sessions_and_mails_a_notice(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    other = await sign_up(client, mailbox, JANE)
    john = await sign_up(client, mailbox, JOHN)
    session = (await login(client, JANE)).json()
    changed = await change_password(client, session)
    assert (changed.status_code, changed.content) == (204, b"")

    token = {"refresh_token": other["refresh_token"]}
    assert (await client.get("/v1/account", headers=bearer(other))).status_code == 401
    assert (await client.post("/v1/auth/refresh", json=token)).status_code == 401
    for alive in (session, john):
        assert (await client.get("/v1/account", headers=bearer(alive))).status_code == 200
    token = {"refresh_token": session["refresh_token"]}
    assert (await client.post("/v1/auth/refresh", json=token)).status_code == 200
    assert (await login(client, JANE, PASSWORD)).status_code == 401
    assert (await login(client, JANE, NEW_PASSWORD)).status_code == 200
    notice = await mailbox.last(JANE)
    assert (notice.kind, NEW_PASSWORD in str(notice.params)) == ("password_changed", False)
    assert "password_changed" in await audited(database)


@pytest.mark.parametrize("current", [WRONG, PASSWORD.lower(), PASSWORD + " ", NEW_PASSWORD])
async def test_wrong_current_password_changes_nothing(
    client: httpx.AsyncClient, mailbox: Mailbox, current: str
) -> None:
    other = await sign_up(client, mailbox, JANE)
    session = (await login(client, JANE)).json()
    refused = await change_password(client, session, current)
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_password")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/current_password"]
    assert (await client.get("/v1/account", headers=bearer(other))).status_code == 200
    assert (await login(client, JANE)).status_code == 200
    assert "password_changed" not in [mail.kind for mail in await mailbox.mails()]


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("Short-7A", "password_too_short"),
        ("Correct Horse-7", "password_has_space"),
        ("My-jane.doe-77", "password_contains_email"),
        ("Password12345!", "password_too_common"),
        ("Multimedia2026!", "password_too_common"),
        ("Ab1-" + "xyzw" * 31 + "q", "password_too_long"),
    ],
)
async def test_new_password_must_follow_the_policy(
    client: httpx.AsyncClient, mailbox: Mailbox, new: str, code: str
) -> None:
    session = await sign_up(client, mailbox, JANE)
    refused = await change_password(client, session, new=new)
    assert (refused.status_code, refused.json()["code"]) == (422, "password_policy")
    assert [(error["pointer"], error["code"]) for error in refused.json()["errors"]] == [
        ("/new_password", code)
    ]
    assert new not in refused.text
    assert (await login(client, JANE)).status_code == 200


@pytest.mark.parametrize("missing", ["current_password", "new_password"])
async def test_change_of_password_needs_both(
    client: httpx.AsyncClient, mailbox: Mailbox, missing: str
) -> None:
    session = await sign_up(client, mailbox, JANE)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    del body[missing]
    response = await client.post("/v1/account/password", json=body, headers=bearer(session))
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == f"/{missing}"


REAUTHENTICATIONS = [
    ("POST", "/v1/account/password", "current_password", {"new_password": NEW_PASSWORD}),
    ("POST", "/v1/account/email", "password", {"new_email": "new@example.org"}),
    ("DELETE", "/v1/account", "password", {}),
]


@pytest.mark.parametrize(("method", "path", "field", "body"), REAUTHENTICATIONS)
async def test_stolen_access_token_is_no_way_to_guess_the_password(
    app: FastAPI,
    client: httpx.AsyncClient,
    mailbox: Mailbox,
    method: str,
    path: str,
    field: str,
    body: dict[str, str],
) -> None:
    session = await sign_up(client, mailbox, JANE)
    headers = bearer(session)
    async with Api(app) as thief:
        for _ in range(10):
            guess = await thief.request(method, path, json={**body, field: WRONG}, headers=headers)
            assert (guess.status_code, guess.json()["code"]) == (403, "wrong_password")
        right = {**body, field: PASSWORD}
        blocked = await thief.request(method, path, json=right, headers=headers)
        assert (blocked.status_code, blocked.json()["code"]) == (429, "too_many_failed_logins")
        assert blocked.headers["retry-after"] == "900"
        # It is one limit: neither the other calls nor the log-in give ten more guesses.
        for other_method, other_path, other_field, other_body in REAUTHENTICATIONS:
            other = {**other_body, other_field: PASSWORD}
            answer = await thief.request(other_method, other_path, json=other, headers=headers)
            assert answer.status_code == 429
        assert (await login(thief, JANE)).status_code == 429
    assert (await login(client, JANE)).status_code == 200
    answer = await client.request(method, path, json={**body, field: PASSWORD}, headers=headers)
    assert answer.status_code in {202, 204}


async def test_right_password_before_something_grave_is_no_failure(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    session = await sign_up(client, mailbox, JANE)
    passwords = [PASSWORD, NEW_PASSWORD]
    for number in range(12):
        current, new = passwords[number % 2], passwords[(number + 1) % 2]
        assert (await change_password(client, session, current, new)).status_code == 204


# Everything that is held about a person


# The section of the document that holds the rows of a table. A new table that refers to a person
# makes the test below fail until it is here, and so in the document.
EXPORTED_AS = {
    "account": "account",
    "api_key": "api_keys",
    "api_key_secret": "api_key_hints",
    "api_key_usage": "api_key_usage",
    "audit_event": "audit_events",
    "asset": "assets",
    "asset_version": "asset_versions",
    "download": "downloads",
    "email_change_undo": "email_change_undos",
    "failed_codes": "failed_codes",
    "idempotency_key": "idempotency_keys",
    "login_failures": "login_failures",
    "mail_outbox": "mails",
    "newsletter_consent": "newsletter_consents",
    "newsletter_delivery": "newsletter_deliveries",
    "newsletter_edition": "newsletter_editions",
    "newsletter_signup": "newsletter_signups",
    "newsletter_subscriber": "newsletter_subscriptions",
    "newsletter_suppression": "newsletter_suppressions",
    "rendition": "renditions",
    "revoked_token": "revoked_tokens",
    "saved_search": "saved_searches",
    "session": "sessions",
    "upload": "uploads",
    "verification_code": "verification_codes",
    "verification_flow": "verification_flows",
    "webhook_endpoint": "webhooks",
}
# The names under which a column refers to a person: by the account or by the address.
REFERENCES = {
    *("account_id", "address_hash", "subject", "actor_id", "email_key", "caller", "scope"),
    *("email_hash", "subscriber_id", "key_id"),
}
# The subject of a mail, and the scope of a limit, which is a domain.
NOT_OF_PEOPLE = {"newsletter_message", "newsletter_rate"}


def test_every_table_that_refers_to_a_person_is_exported() -> None:
    referring = {
        table.name
        for table in Base.metadata.tables.values()
        if REFERENCES & {column.name for column in table.columns}
        or any(key.column.table.name == "account" for key in table.foreign_keys)
    }
    assert referring - NOT_OF_PEOPLE == EXPORTED_AS.keys()


async def live_through(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, email: str, new_email: str
) -> dict[str, Any]:
    """Leave a trace of somebody in every table, and be logged in at the end."""
    client.headers["user-agent"] = f"browser of {email}"
    session = await sign_up(
        client, mailbox, email, full_name=f"name of {email}", organisation=f"firm of {email}"
    )
    headers = bearer(session)
    await register(client, email)  # a stranger's, for an address that has an account
    await login(client, email, WRONG, device_name=f"device of {email}")
    await login(client, email, device_name=f"device of {email}")
    video = await publish_video(app, f"video-{len(email)}")
    key = {"Idempotency-Key": "the-first-download"}
    downloaded = await client.post(video.downloads, headers={**headers, **key})
    assert downloaded.status_code == 201, downloaded.text

    hook = {"url": f"https://{email.replace('@', '.')}/", "events": ["asset.created"]}
    hooked = await client.post("/v1/webhooks", json=hook, headers=headers)
    assert hooked.status_code == 201, hooked.text
    await work_as_editor(app, UUID(session["account"]["id"]))
    await keep_a_key(app, UUID(session["account"]["id"]), email)
    saved = await client.post("/v1/saved-searches", json={"name": "All"}, headers=headers)
    assert saved.status_code == 201, saved.text
    subscribed = await client.put("/v1/newsletter/subscription", json={}, headers=headers)
    assert subscribed.status_code == 200, subscribed.text

    body = {"email": email, "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    code = await mailbox.code(email)
    await verify(client, flow_id, "00000000" if code != "00000000" else "11111111")
    # An address that was given up and taken back: two links to undo it.
    for address in (new_email, email):
        body = {"new_email": address, "password": PASSWORD}
        await client.post("/v1/account/email", json=body, headers=headers)
        body = {"code": await mailbox.code(address)}
        changed = await client.post("/v1/account/email/verify", json=body, headers=headers)
        assert changed.status_code == 200, changed.text
    body = {"new_email": f"pending-{new_email}", "password": PASSWORD}
    await client.post("/v1/account/email", json=body, headers=headers)
    await get_mails(app, UUID(session["account"]["id"]), email)
    return session


async def work_as_editor(app: FastAPI, account_id: UUID) -> None:
    """Create an asset and a file of it, and begin to upload another."""
    editor = Editor(account_id, client=None)
    sent = {"title": "A desk's work"}
    async with app.state.database.transaction() as session:
        asset = await asset_editing.create(session, "video", sent, editor=editor, now=PUBLISHED_AT)
        await add_file(session, asset, created_by=account_id)
        upload = Upload(
            account_id=account_id,
            asset_id=asset.id,
            rendition_name="master",
            purpose="master",
            filename="master.mxf",
            metadata_header="",
            length_bytes=1,
            created_at=PUBLISHED_AT,
            expires_at=PUBLISHED_AT,
        )
        session.add(upload)


async def keep_a_key(app: FastAPI, account_id: UUID, email: str) -> None:
    """Have an API key, use it, and give one of its access tokens back."""
    async with app.state.database.transaction() as session:
        key = ApiKey(
            account_id=account_id,
            name=f"key of {email}",
            scopes=["assets:read"],
            created_at=PUBLISHED_AT,
        )
        session.add(key)
        await session.flush()
        of_this = {"key_id": key.id}
        hint = {"hash": sha256(email.encode()).digest(), "hint": "x7Qd"}
        session.add(ApiKeySecret(**of_this, **hint, created_at=PUBLISHED_AT))
        session.add(ApiKeyUsage(**of_this, day=PUBLISHED_AT.date(), calls=1))
        session.add(RevokedToken(**of_this, jti=uuid4(), expires_at=PUBLISHED_AT))


async def get_mails(app: FastAPI, account_id: UUID, email: str) -> None:
    """Write an edition, be in its ledger, and have asked for it and objected to it as well."""
    key, keyring = email.lower(), app.state.deployment.keyring
    at = {"created_at": PUBLISHED_AT, "updated_at": PUBLISHED_AT}
    async with app.state.database.transaction() as session:
        edition = Edition(
            kind="edition",
            frequency="each",
            topics=[],
            name=f"edition-{len(email)}",
            translations={},
            language="en",
            created_by=account_id,
            **at,
        )
        session.add(edition)
        await session.flush()
        subscriber = await subscriptions.find(session, key)
        assert subscriber is not None
        of_this = {"edition_id": edition.id, "subscriber_id": subscriber.id}
        session.add(Delivery(**of_this, variant=0, state="sent", due_at=PUBLISHED_AT))
        token_hash, expires_at = key.encode(), PUBLISHED_AT + timedelta(days=7)
        row = {"email_key": key, "email": email, "token_hash": token_hash, "request": {"a": "b"}}
        session.add(Signup(**row, mailed_at=PUBLISHED_AT, expires_at=expires_at))
        await suppressions.add(session, key, "editor", keyring=keyring, now=PUBLISHED_AT)


def places_of(needles: set[bytes], records: dict[str, list[str]]) -> set[str]:
    """The tables in which one of the needles occurs: as text, or as bytes."""
    forms = {needle.decode("latin-1").lower() for needle in needles}
    forms |= {needle.hex() for needle in needles}
    return {
        table
        for table, contents in records.items()
        if any(form in record.lower() for record in contents for form in forms)
    }


async def everything(database: Database) -> dict[str, list[str]]:
    """Every row of every table of the database as JSON, in which bytes are hexadecimal."""
    names = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    async with database.transaction() as session:
        return {
            name: list(
                await session.scalars(text(f'SELECT row_to_json(t)::text FROM "{name}" t'))  # noqa: S608  # our own names
            )
            for name in await session.scalars(names)
        }


async def test_export_has_every_row_about_the_person_and_of_nobody_else(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring
) -> None:
    session = await live_through(app, client, mailbox, JANE, "jane@new.example")
    async with Api(app) as elsewhere:
        john = await live_through(app, elsewhere, mailbox, JOHN, "john@new.example")
    response = await export(client, session)
    assert response.status_code == 200
    document = response.json()

    traces = {
        session["account"]["id"].encode(),
        JANE.lower().encode(),
        address_hash(JANE.lower(), keyring),
        email_hash(JANE.lower(), keyring=keyring),
        *(str(each.id).encode() for each in await rows(database, Subscriber)),
        *(str(each.id).encode() for each in await rows(database, ApiKey)),
    }
    assert places_of(traces, await everything(database)) == EXPORTED_AS.keys()
    assert document.keys() == set(EXPORTED_AS.values())
    assert all(document.values()), [name for name, section in document.items() if not section]
    assert document["account"]["email"] == JANE
    assert [each["asset_id"] for each in document["downloads"]] != []
    assert {mail["kind"] for mail in document["mails"]} == {
        "account_exists",
        "password_reset_code",
        "email_changed",
        "webhook_created",
    }
    assert {event["action"] for event in document["audit_events"]} == {
        "registered",
        "login",
        "login_failed",
        "email_changed",
        "asset.created",
        "webhook.created",
        "webhook.challenge_sent",
    }
    assert len(document["sessions"]) == 2
    assert len(document["email_change_undos"]) == 2
    # Subscribed, gone to another address, and come back from there.
    steps = [(step["event"], step["source"]) for step in document["newsletter_consents"]]
    moved = [("subscribed", "address_change"), ("address_changed", "address_change")]
    assert steps == [("subscribed", "account"), *moved, *moved]
    assert [mail["name"] for mail in document["newsletter_deliveries"]] == [f"edition-{len(JANE)}"]
    for foreign in (john["account"]["id"], "john", address_hash(JOHN, keyring).hex()):
        assert foreign not in response.text.lower()


async def test_export_holds_no_hash_and_no_secret(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await live_through(app, client, mailbox, JANE, "jane@new.example")
    exported = (await export(client, session)).text
    secrets = {PASSWORD, session["refresh_token"], session["access_token"]}
    for mail in await mailbox.mails():
        secrets |= {mail.params[name] for name in ("code", "token") if name in mail.params}
    for table in (mapper.class_ for mapper in Base.registry.mappers):
        for row in await rows(database, table):
            secrets |= secrets_of(row)
    assert len(secrets) > 30
    for secret in secrets:
        assert secret not in exported
    for word in ("hash", "secret", "sealed", "argon2", "email_key"):
        assert word not in exported


def secrets_of(row: Base) -> set[str]:
    """The values of a row that only serve whoever steals them, in the forms they may take."""
    found = set()
    for column in row.__table__.columns:
        value = getattr(row, column.key)
        if isinstance(column.type, LargeBinary) and value:
            standard = base64.b64encode(value).decode().rstrip("=")
            found |= {value.hex(), standard, standard.translate(str.maketrans("+/", "-_"))}
        elif column.name == "password_hash" and value:
            found.add(value)
    return found


async def test_export_shows_the_mails_that_somebody_else_caused(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    jane = await sign_up(client, mailbox, JANE)
    john = await sign_up(client, mailbox, JOHN)
    body = {"new_email": JANE, "password": PASSWORD}
    await client.post("/v1/account/email", json=body, headers=bearer(john))
    kinds = [mail["kind"] for mail in (await export(client, jane)).json()["mails"]]
    assert kinds == ["email_taken"]
    assert "email_taken" not in (await export(client, john)).text


# The end of an account


@pytest.mark.parametrize("password", [WRONG, PASSWORD.lower(), NEW_PASSWORD])
async def test_deletion_needs_the_password(
    client: httpx.AsyncClient, mailbox: Mailbox, password: str
) -> None:
    session = await sign_up(client, mailbox, JANE)
    refused = await delete(client, session, password)
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_password")
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/password"]
    assert (await client.get("/v1/account", headers=bearer(session))).status_code == 200


@pytest.mark.parametrize("body", [None, {}, {"password": None}, {"password": ""}])
async def test_deletion_without_a_password_is_refused(
    client: httpx.AsyncClient, mailbox: Mailbox, body: dict[str, Any] | None
) -> None:
    session = await sign_up(client, mailbox, JANE)
    response = await client.request("DELETE", "/v1/account", json=body, headers=bearer(session))
    assert response.status_code == 422
    assert (await client.get("/v1/account", headers=bearer(session))).status_code == 200


async def test_deletion_leaves_nothing_of_the_person_anywhere_but_in_the_farewell(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database, keyring: Keyring
) -> None:
    async with Api(app, network="203.0.113.5") as jane:
        session = await live_through(app, jane, mailbox, JANE, "jane@new.example")
        await make_admin(database, JANE)
        admin = (await login(jane, JANE)).json()
        john = await sign_up(client, mailbox, JOHN)
        path = f"/v1/accounts/{john['account']['id']}"
        acted = await jane.patch(path, json={"role": "editor"}, headers=bearer(admin))
        assert acted.status_code == 200
        assert (await delete(jane, admin)).status_code == 204

    traces = {
        session["account"]["id"].encode(),
        address_hash(JANE.lower(), keyring),
        # Address, key, other addresses, names, device, user agent. Four letters alone are met by
        # chance in the hash of somebody's password.
        *(b"jane.doe", b"jane@new"),
        b"203.0.113.5",
    }
    records = await everything(database)
    assert places_of(traces, records) == {"newsletter_consent"}
    # It is evidence of this too from where somebody has consented; but not of who it was.
    evidence = [json.loads(record) for record in records["newsletter_consent"]]
    connections = [(step.pop("network"), step.pop("user_agent")) for step in evidence]
    assert set(connections) == {("203.0.113.5/32", f"browser of {JANE}")}
    nameless = {**records, "newsletter_consent": [json.dumps(step) for step in evidence]}
    assert places_of(traces, nameless) == set()
    assert [step["event"] for step in evidence][-1] == "erased"
    for table in ("newsletter_subscriber", "newsletter_signup"):
        assert records[table] == []
    # Nobody can import the address again, and the ledger's figures stay as they are.
    assert email_hash(JANE.lower(), keyring=keyring).hex() in str(records["newsletter_suppression"])
    assert len(records["newsletter_delivery"]) == 1
    names = re.compile(r"jane(\.doe|@new)", re.IGNORECASE)  # no token is like them
    left = [mail for mail in await mailbox.mails() if names.search(f"{mail.to}{mail.params}")]
    assert [(mail.kind, mail.to) for mail in left] == [("account_deleted", JANE)]


async def test_deletion_ends_every_session_and_code_at_once(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    sessions = [await sign_up(client, mailbox, JANE), (await login(client, JANE)).json()]
    body = {"email": JANE, "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    code = await mailbox.code(JANE)
    assert (await delete(client, sessions[0])).status_code == 204
    for session in sessions:
        assert (await client.get("/v1/account", headers=bearer(session))).status_code == 401
        token = {"refresh_token": session["refresh_token"]}
        assert (await client.post("/v1/auth/refresh", json=token)).status_code == 401
    assert (await verify(client, flow_id, code)).json()["code"] == "code_refused"
    assert (await login(client, JANE)).json()["code"] == "invalid_credentials"
    assert (await delete(client, sessions[0])).status_code == 401


async def test_deletion_keeps_the_audit_trail_under_one_pseudonym(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    jane = await sign_up(client, mailbox, JANE)
    john = await sign_up(client, mailbox, JOHN)
    await patch(client, jane, {"full_name": "Jane"}, **JSON)
    assert (await delete(client, jane)).status_code == 204
    events = sorted(await rows(database, AuditEvent), key=lambda event: event.id)
    mine = [event for event in events if event.subject != john["account"]["id"]]
    assert [event.action for event in mine] == [
        "registered",
        "login",
        "profile_changed",
        "account_deleted",
    ]
    [pseudonym] = {event.subject for event in mine}
    assert pseudonym is not None
    assert pseudonym.startswith("erased:")
    assert jane["account"]["id"].replace("-", "") not in pseudonym
    assert [(event.network, event.details) for event in mine] == [(None, {})] * 4
    johns = [event for event in events if event.subject == john["account"]["id"]]
    assert [event.network is not None for event in johns] == [True, True]


async def test_deletion_leaves_downloads_as_bare_counts(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    session = await sign_up(client, mailbox, JANE)
    video = await publish_video(app)
    await client.post(video.downloads, headers=bearer(session))
    assert (await delete(client, session)).status_code == 204
    [download] = await rows(database, Download)
    assert (download.account_id, download.rendition_id) == (None, video.rendition_id)


async def test_deletion_cancels_what_is_not_sent_yet_and_lets_it_be_purged(
    client: httpx.AsyncClient, mailbox: Mailbox, database: Database, clock: Clock
) -> None:
    session = await sign_up(client, mailbox, JANE)
    await change_password(client, session)
    assert (await delete(client, session, NEW_PASSWORD)).status_code == 204
    mails = await rows(database, OutboxMail)
    states = {mail.kind: (mail.state, mail.sealed is None, mail.finished_at) for mail in mails}
    assert states == {
        "registration_code": ("cancelled", True, clock.now),
        "password_changed": ("cancelled", True, clock.now),
        "account_deleted": ("pending", False, None),
    }


async def test_deletion_touches_nobody_else(
    app: FastAPI, client: httpx.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    async with Api(app) as elsewhere:
        john = await live_through(app, elsewhere, mailbox, JOHN, "john@new.example")
    before = await export(client, john)
    session = await sign_up(client, mailbox, JANE)
    assert (await delete(client, session)).status_code == 204
    assert (await export(client, john)).json() == before.json()
    assert [account.email for account in await rows(database, Account)] == [JOHN]


async def test_erased_address_can_open_a_new_account_without_a_past(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    first = await sign_up(client, mailbox, JANE, full_name="Jane Doe")
    await delete(client, first)
    second = await sign_up(client, mailbox, JANE)
    assert second["account"]["id"] != first["account"]["id"]
    assert second["account"]["full_name"] is None
    assert len((await export(client, second)).json()["audit_events"]) == 2
