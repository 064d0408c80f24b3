"""Requests that truly run at once, each on a connection of its own."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from typing_extensions import override

from app.crypto import Keyring, PasswordHasher
from app.db import Database
from app.models import (
    Account,
    Download,
    FailedCodes,
    OutboxMail,
    Session,
    VerificationCode,
    VerificationFlow,
)
from tests.factories import publish_video
from tests.helpers import (
    NEW_PASSWORD,
    PASSWORD,
    Mailbox,
    bearer,
    login,
    register,
    rows,
    sign_up,
    verify,
)

JANE = "jane@example.org"


async def at_once(*requests: Coroutine[Any, Any, httpx.Response]) -> list[httpx.Response]:
    return list(await asyncio.gather(*requests))


def statuses(responses: Sequence[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def codes(responses: Sequence[httpx.Response]) -> set[str]:
    return {response.json()["code"] for response in responses if response.status_code >= 400}


async def count(database: Database, table: type, *conditions: Any) -> int:
    async with database.transaction() as session:
        query = select(func.count()).select_from(table).where(*conditions)
        return await session.scalar(query) or 0


async def codes_by_flow(database: Database, mailbox: Mailbox) -> dict[str, str]:
    """The code that was mailed for each flow."""
    query = select(VerificationCode.flow_id, OutboxMail).join(
        OutboxMail, OutboxMail.code_id == VerificationCode.id
    )
    async with database.transaction() as session:
        rows = (await session.execute(query)).all()
    return {str(flow_id): mailbox._open(mail).params["code"] for flow_id, mail in rows}


def wrong_guess(code: str) -> str:
    return "00000000" if code != "00000000" else "11111111"


class GatheringHasher(PasswordHasher):
    """Lets nobody go on before all are here: the pool alone would send one after the other."""

    def __init__(self, keyring: Keyring, hasher: PasswordHasher, *, expected: int) -> None:
        super().__init__(keyring, threads=2)
        self._context = hasher._context  # the same parameters, or each log-in renews its hash
        self._all_here = asyncio.Barrier(expected)

    @override
    async def _run(self, function: Callable[..., Any], *args: str) -> Any:
        result = await super()._run(function, *args)
        async with asyncio.timeout(60):
            await self._all_here.wait()
        return result


class PausingHasher(PasswordHasher):
    """Stops before it hashes a new password, so that a test can do something meanwhile."""

    def __init__(self, keyring: Keyring, *, threads: int) -> None:
        super().__init__(keyring, threads=threads)
        self.paused, self.go_on = asyncio.Event(), asyncio.Event()

    @override
    async def hash(self, password: str) -> str:
        self.paused.set()
        await self.go_on.wait()
        return await super().hash(password)


@pytest.fixture
def gather(live_app: FastAPI, keyring: Keyring) -> Iterator[Callable[[int], None]]:
    """From then on, so many requests leave the hash pool together."""
    hasher: PasswordHasher = live_app.state.hasher

    def gathering(expected: int) -> None:
        live_app.state.hasher = GatheringHasher(keyring, hasher, expected=expected)

    yield gathering
    if live_app.state.hasher is not hasher:
        live_app.state.hasher.close()


# Codes


async def test_code_verified_twenty_times_at_once_succeeds_once(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    flow_id = (await register(live_client)).json()["flow_id"]
    code = await live_mailbox.code(JANE)
    responses = await at_once(*(verify(live_client, flow_id, code) for _ in range(20)))
    assert statuses(responses) == {200: 1, 422: 19}
    assert codes(responses) == {"code_refused"}
    assert await count(live_database, Account) == 1
    assert await count(live_database, Session) == 1
    # A code that was right, only late, is no guess.
    assert await count(live_database, FailedCodes) == 0


async def test_code_and_link_of_one_mail_at_once_succeed_once(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    flow_id = (await register(live_client)).json()["flow_id"]
    params = (await live_mailbox.last(JANE)).params
    bodies = [
        {"flow_id": flow_id, "code": params["code"]},
        {"flow_id": flow_id, "token": params["token"]},
        {"token": params["token"], "password": PASSWORD},
    ]
    path = "/v1/verification-codes/verify"
    responses = await at_once(*(live_client.post(path, json=body) for body in bodies * 5))
    assert statuses(responses) == {200: 1, 422: 14}
    assert await count(live_database, Account) == 1


async def test_one_address_registered_twenty_times_at_once_becomes_one_account(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    responses = await at_once(*(register(live_client) for _ in range(20)))
    assert statuses(responses) == {202: 20}
    code_of = await codes_by_flow(live_database, live_mailbox)
    assert len(code_of) == len({response.json()["flow_id"] for response in responses}) == 20
    two = list(code_of.items())[:2]
    verified = await at_once(*(verify(live_client, flow, code) for flow, code in two))
    assert statuses(verified) == {200: 1, 422: 1}
    assert codes(verified) == {"code_refused"}
    assert await count(live_database, Account) == 1
    assert {flow.password_hash for flow in await rows(live_database, VerificationFlow)} == {None}


async def test_two_addresses_that_are_one_become_one_account(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    await at_once(register(live_client, JANE), register(live_client, JANE.upper()))
    code_of = await codes_by_flow(live_database, live_mailbox)
    verified = await at_once(*(verify(live_client, *item) for item in code_of.items()))
    assert statuses(verified) == {200: 1, 422: 1}
    assert await count(live_database, Account) == 1


async def test_of_twenty_wrong_guesses_at_once_five_count_and_kill_the_code(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    flow_id = (await register(live_client)).json()["flow_id"]
    code = await live_mailbox.code(JANE)
    wrong = wrong_guess(code)
    responses = await at_once(*(verify(live_client, flow_id, wrong) for _ in range(20)))
    assert statuses(responses) == {422: 20}
    assert codes(responses) == {"code_refused"}
    async with live_database.transaction() as session:
        assert await session.scalar(select(VerificationCode.failed_attempts)) == 5
        per_scope = (await session.scalars(select(FailedCodes.failures))).all()
    assert per_scope == [5, 5]  # for the address and for the whole system
    assert (await verify(live_client, flow_id, code)).json()["code"] == "code_refused"
    assert await count(live_database, Account) == 0


async def test_right_code_among_wrong_guesses_never_succeeds_after_the_fifth(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    flow_id = (await register(live_client)).json()["flow_id"]
    code = await live_mailbox.code(JANE)
    guesses = [wrong_guess(code)] * 10 + [code] + [wrong_guess(code)] * 10
    responses = await at_once(*(verify(live_client, flow_id, guess) for guess in guesses))
    async with live_database.transaction() as session:
        failed = await session.scalar(select(VerificationCode.failed_attempts)) or 0
    succeeded = statuses(responses)[200]
    assert succeeded == await count(live_database, Account)
    assert (succeeded, failed) == (0, 5) or (succeeded == 1 and failed < 5)


async def test_wrong_guesses_at_two_addresses_do_not_deadlock(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    flows = []
    for email in ("a@example.org", "b@example.org", "c@example.org", "d@example.org"):
        flow_id = (await register(live_client, email)).json()["flow_id"]
        flows.append((flow_id, wrong_guess(await live_mailbox.code(email))))
    responses = await at_once(*(verify(live_client, *flow) for flow in flows * 10))
    assert statuses(responses) == {422: 40}
    assert codes(responses) == {"code_refused"}
    async with live_database.transaction() as session:
        everybody = select(FailedCodes.failures).where(FailedCodes.scope == b"")
        assert await session.scalar(everybody) == 20


async def test_new_codes_asked_for_at_once_leave_one_alive(
    live_client: httpx.AsyncClient, live_database: Database
) -> None:
    flow_id = (await register(live_client)).json()["flow_id"]
    body = {"flow_id": flow_id}
    asked = (live_client.post("/v1/verification-codes", json=body) for _ in range(10))
    assert statuses(await at_once(*asked)) == {202: 10}
    assert await count(live_database, VerificationCode) == 11
    alive = VerificationCode.closed_at.is_(None)
    assert await count(live_database, VerificationCode, alive) == 1


# Sessions and passwords


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token})


async def test_two_refreshes_at_once_leave_both_clients_in_one_family(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    token = (await sign_up(live_client, live_mailbox))["refresh_token"]
    pairs = await at_once(refresh(live_client, token), refresh(live_client, token))
    assert statuses(pairs) == {200: 2}
    assert len({pair.json()["refresh_token"] for pair in pairs} - {token}) == 1
    for pair in pairs:
        me = await live_client.get("/v1/account", headers=bearer(pair.json()))
        assert me.status_code == 200
    again = await at_once(*(refresh(live_client, pair.json()["refresh_token"]) for pair in pairs))
    assert statuses(again) == {200: 2}
    last = await refresh(live_client, again[1].json()["refresh_token"])
    assert last.status_code == 200
    assert await count(live_database, Session) == 1
    assert await count(live_database, Session, Session.ended_at.is_not(None)) == 0


async def test_twenty_refreshes_at_once_rotate_once(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    token = (await sign_up(live_client, live_mailbox))["refresh_token"]
    pairs = await at_once(*(refresh(live_client, token) for _ in range(20)))
    assert statuses(pairs) == {200: 20}
    assert len({pair.json()["refresh_token"] for pair in pairs}) == 1
    async with live_database.transaction() as session:
        assert await session.scalar(select(Session.counter)) == 1


async def test_refresh_and_logout_at_once_end_logged_out(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox
) -> None:
    token = (await sign_up(live_client, live_mailbox))["refresh_token"]
    logout = live_client.post("/v1/auth/logout", json={"refresh_token": token})
    refreshed, ended = await at_once(refresh(live_client, token), logout)
    assert ended.status_code == 204
    newest = refreshed.json().get("refresh_token", token)
    assert (await refresh(live_client, newest)).status_code == 401


async def test_twenty_logins_at_once_all_succeed(
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
    gather: Callable[[int], None],
) -> None:
    await sign_up(live_client, live_mailbox)
    gather(20)
    responses = await at_once(*(login(live_client) for _ in range(20)))
    assert statuses(responses) == {200: 20}
    assert len({response.json()["refresh_token"] for response in responses}) == 20
    assert await count(live_database, Session) == 21


async def test_logins_that_renew_the_hash_at_once_do_not_deadlock(
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
    gather: Callable[[int], None],
) -> None:
    """The hash was made under another pepper, so each log-in wants to replace it.

    Those that come second find another hash than the one they checked, as after a reset.
    """
    await sign_up(live_client, live_mailbox)
    async with live_database.transaction() as session:
        account = (await session.scalars(select(Account))).one()
        old = account.password_hash = f"00000000:{account.password_hash.partition(':')[2]}"
    gather(5)
    responses = await at_once(*(login(live_client) for _ in range(5)))
    async with live_database.transaction() as session:
        assert await session.scalar(select(Account.password_hash)) != old
    assert set(statuses(responses)) <= {200, 401}
    assert statuses(responses)[200] >= 1
    gather(1)
    assert (await login(live_client)).status_code == 200


async def test_password_change_that_a_reset_overtakes_is_refused(
    live_app: FastAPI, live_client: httpx.AsyncClient, live_mailbox: Mailbox, keyring: Keyring
) -> None:
    """Else whoever stole the password could undo the reset that locks them out."""
    session = await sign_up(live_client, live_mailbox)
    hasher = PausingHasher(keyring, threads=1)
    stolen = {"current_password": PASSWORD, "new_password": "Stolen-Staple-9-Barn"}
    live_app.state.hasher, patient = hasher, live_app.state.hasher
    change = asyncio.create_task(
        live_client.post("/v1/account/password", json=stolen, headers=bearer(session))
    )
    await hasher.paused.wait()
    live_app.state.hasher = patient
    await reset_password(live_client, live_mailbox)
    hasher.go_on.set()
    assert (await change).status_code == 403
    assert (await login(live_client, password=NEW_PASSWORD)).status_code == 200
    assert (await login(live_client, password="Stolen-Staple-9-Barn")).status_code == 401
    hasher.close()


async def reset_password(client: httpx.AsyncClient, mailbox: Mailbox) -> None:
    body = {"email": JANE, "purpose": "password_reset"}
    flow_id = (await client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    granted = await verify(client, flow_id, await mailbox.code(JANE))
    reset = {"reset_token": granted.json()["reset_token"], "new_password": NEW_PASSWORD}
    assert (await client.post("/v1/auth/password-reset", json=reset)).status_code == 200


async def test_password_reset_ten_times_at_once_with_one_token_succeeds_once(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, gather: Callable[[int], None]
) -> None:
    await sign_up(live_client, live_mailbox)
    body = {"email": JANE, "purpose": "password_reset"}
    flow_id = (await live_client.post("/v1/verification-codes", json=body)).json()["flow_id"]
    granted = await verify(live_client, flow_id, await live_mailbox.code(JANE))
    reset = {"reset_token": granted.json()["reset_token"], "new_password": NEW_PASSWORD}
    path = "/v1/auth/password-reset"
    gather(10)
    responses = await at_once(*(live_client.post(path, json=reset) for _ in range(10)))
    assert statuses(responses) == {200: 1, 422: 9}
    assert codes(responses) == {"reset_token_refused"}
    gather(1)
    assert (await login(live_client, password=NEW_PASSWORD)).status_code == 200
    notices = [mail for mail in await live_mailbox.mails(JANE) if mail.kind == "password_changed"]
    assert len(notices) == 1


async def test_password_changed_ten_times_at_once_changes_once(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, gather: Callable[[int], None]
) -> None:
    session = await sign_up(live_client, live_mailbox)
    passwords = [f"{NEW_PASSWORD}-{number}" for number in range(10)]
    gather(10)
    responses = await at_once(
        *(
            live_client.post(
                "/v1/account/password",
                json={"current_password": PASSWORD, "new_password": password},
                headers=bearer(session),
            )
            for password in passwords
        )
    )
    assert statuses(responses) == {204: 1, 403: 9}
    gather(1)
    logins = await at_once(*(login(live_client, password=password) for password in passwords))
    assert statuses(logins) == {200: 1, 401: 9}
    assert (await login(live_client)).status_code == 401


# Addresses


async def ask_for_change(
    client: httpx.AsyncClient, headers: dict[str, str], new_email: str
) -> httpx.Response:
    body = {"new_email": new_email, "password": PASSWORD}
    return await client.post("/v1/account/email", json=body, headers=headers)


async def test_two_changes_to_one_address_at_once_leave_one_owner(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    sessions = [await sign_up(live_client, live_mailbox, email) for email in ("a@b.org", "c@d.org")]
    asked = await at_once(*(ask_for_change(live_client, bearer(each), JANE) for each in sessions))
    assert statuses(asked) == {202: 2}
    code_of = await codes_by_flow(live_database, live_mailbox)
    responses = await at_once(
        *(
            live_client.post(
                "/v1/account/email/verify",
                json={"code": code_of[ask.json()["flow_id"]]},
                headers=bearer(each),
            )
            for each, ask in zip(sessions, asked, strict=True)
        )
    )
    assert statuses(responses) == {200: 1, 422: 1}
    assert codes(responses) == {"code_refused"}
    assert await count(live_database, Account, Account.email_key == JANE) == 1
    assert await count(live_database, Account) == 2


async def test_change_to_an_address_that_is_registered_at_once_leaves_one_owner(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_database: Database
) -> None:
    session = await sign_up(live_client, live_mailbox, "a@b.org")
    asked = await ask_for_change(live_client, bearer(session), JANE)
    registered = await register(live_client, JANE)
    code_of = await codes_by_flow(live_database, live_mailbox)
    responses = await at_once(
        live_client.post(
            "/v1/account/email/verify",
            json={"code": code_of[asked.json()["flow_id"]]},
            headers=bearer(session),
        ),
        verify(live_client, registered.json()["flow_id"], code_of[registered.json()["flow_id"]]),
    )
    assert statuses(responses) == {200: 1, 422: 1}
    assert await count(live_database, Account, Account.email_key == JANE) == 1


async def test_requests_during_the_deletion_of_their_account_are_refused_and_never_fail(
    live_client: httpx.AsyncClient, live_mailbox: Mailbox, live_app: FastAPI
) -> None:
    video = await publish_video(live_app)
    headers = bearer(await sign_up(live_client, live_mailbox))
    body = {"password": PASSWORD}
    responses = await at_once(
        live_client.request("DELETE", "/v1/account", json=body, headers=headers),
        *(login(live_client) for _ in range(3)),
        *(live_client.post(video.downloads, headers=headers) for _ in range(10)),
        *(
            live_client.patch("/v1/account", json={"full_name": "J"}, headers=headers)
            for _ in range(10)
        ),
        live_client.get("/v1/account/export", headers=headers),
        ask_for_change(live_client, headers, "new@example.org"),
    )
    assert responses[0].status_code == 204
    assert 500 not in statuses(responses)
    assert (await login(live_client)).status_code == 401


async def test_account_deleted_ten_times_at_once_is_deleted_once(
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
    gather: Callable[[int], None],
) -> None:
    session = await sign_up(live_client, live_mailbox)
    gather(10)
    responses = await at_once(
        *(
            live_client.request(
                "DELETE", "/v1/account", json={"password": PASSWORD}, headers=bearer(session)
            )
            for _ in range(10)
        )
    )
    assert statuses(responses) == {204: 1, 401: 9}
    assert codes(responses) == {"invalid_token"}
    assert await count(live_database, Account) == 0
    farewells = [mail for mail in await live_mailbox.mails() if mail.kind == "account_deleted"]
    assert len(farewells) == 1


# Downloads


async def test_ten_twins_with_one_idempotency_key_have_one_effect(
    live_app: FastAPI,
    live_client: httpx.AsyncClient,
    live_mailbox: Mailbox,
    live_database: Database,
) -> None:
    video = await publish_video(live_app)
    session = await sign_up(live_client, live_mailbox)
    headers = {**bearer(session), "Idempotency-Key": "twins-1"}
    responses = await at_once(
        *(live_client.post(video.downloads, headers=headers) for _ in range(10))
    )
    assert set(statuses(responses)) <= {201, 409}
    assert codes(responses) <= {"idempotency_key_running"}
    created = [response for response in responses if response.status_code == 201]
    assert len({response.text for response in created}) == 1
    originals = [each for each in created if "idempotent-replayed" not in each.headers]
    assert len(originals) == 1
    assert await count(live_database, Download) == 1
    late = await live_client.post(video.downloads, headers=headers)
    assert late.headers["idempotent-replayed"] == "true"
    assert late.json() == originals[0].json()


async def test_first_signing_key_is_made_once(live_database: Database, keyring: Keyring) -> None:
    """Of processes that start together on an empty table."""
    from datetime import UTC, datetime

    from app.models import StoredSigningKey
    from app.services import signing_keys

    async def start() -> set[str]:
        async with live_database.transaction() as session:
            keys = await signing_keys.load(session, keyring=keyring, now=datetime.now(UTC))
            return {key.kid for key in keys}

    kids = await asyncio.gather(*(start() for _ in range(10)))
    assert len(set.union(*kids)) == 1
    assert await count(live_database, StoredSigningKey) == 1
