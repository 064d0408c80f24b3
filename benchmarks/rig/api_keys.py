"""What the check of an API key costs, beside that of a session: in a process, and over HTTP.

Run alone: `python benchmarks/rig/api_keys.py`.
"""

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import asyncpg
import uvloop
from typing_extensions import override

from app import crypto
from app.crypto import AccessTokens, Keyring, PasswordHasher, generate_signing_key, load_signing_key
from app.db import Database
from app.http.counters import InProcessCounters
from app.http.key_gate import KeyGate
from app.http.shown_keys import shown_token
from app.services import auth, policy
from app.services.auth import KEY_SCOPES
from benchmarks.rig.installation import LOAD_CORE, Installation, installation, on_core
from benchmarks.rig.load import call, request, run_load

KEYS = 50
ROUNDS = 20_000
SECONDS = 6.0
PASSWORD = "Correct-Horse-7-Battery"
EMAIL = "engineer@example.org"
# The question that both may ask and that costs the same for both.
QUESTION = "/v1/usage?limit=1&to=2020-01-01"


async def measure(site: Installation) -> None:
    """Print the figures of one run, in microseconds and requests a second."""
    account_id = await make_account(site)
    keys = await make_keys(site, account_id, KEYS)
    await in_process(site, account_id, keys)
    await over_http(site, keys[0])


async def make_account(site: Installation) -> UUID:
    hasher = PasswordHasher(Keyring(site.secret_key), threads=1)
    password_hash = await hasher.hash(PASSWORD)
    hasher.close()
    account_id, now = uuid4(), datetime.now(UTC)
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    await connection.execute(
        "INSERT INTO account (id, email, email_key, password_hash, locale, role, created_at,"
        " updated_at) VALUES ($1, $2, $2, $3, 'en', 'member', $4, $4)",
        account_id,
        EMAIL,
        password_hash,
        now,
    )
    await connection.close()
    return account_id


async def make_keys(site: Installation, account_id: UUID, count: int) -> list[str]:
    now, secrets = datetime.now(UTC), [crypto.new_api_key() for _ in range(count)]
    ids = [uuid4() for _ in secrets]
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    await connection.executemany(
        "INSERT INTO api_key (id, account_id, name, scopes, created_at) VALUES ($1, $2, 'k', $3,"
        " $4)",
        [(key_id, account_id, list(KEY_SCOPES), now) for key_id in ids],
    )
    await connection.executemany(
        "INSERT INTO api_key_secret (hash, key_id, hint, created_at) VALUES ($1, $2, $3, $4)",
        [
            (crypto.api_key_hash(secret), key_id, crypto.api_key_hint(secret), now)
            for key_id, secret in zip(ids, secrets, strict=True)
        ],
    )
    await connection.close()
    return secrets


async def in_process(site: Installation, account_id: UUID, keys: list[str]) -> None:
    """The whole check on the hot path: who it is, its rate and its quota, all counted."""
    now, database = datetime.now(UTC), Database(site.environment["DATABASE_URL"])
    tokens = AccessTokens(issuer="http://api", audience="http://api")
    tokens.use_keys([load_signing_key(generate_signing_key(), kid="k", signs_from=now)])
    gate = KeyGate(InProcessCounters())
    gate.open(database, tokens)
    scopes = [shown(f"Bearer {key}") for key in keys]
    of_keys = cycle(scopes)
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    key_ids = [row["id"] for row in await connection.fetch("SELECT id FROM api_key")]
    session_id = await open_session(connection, account_id, now)
    await connection.close()
    lifetime, scope = policy.KEY_TOKEN_LIFETIME, " ".join(KEY_SCOPES)
    issued = [
        tokens.issue_to_client(key_id=key_id, scope=scope, now=now, lifetime=lifetime)
        for key_id in key_ids
    ]
    of_tokens = cycle([shown(f"Bearer {token}") for token in issued])
    session_token = tokens.issue(
        account_id=account_id, session_id=session_id, scope="account", now=now, lifetime=lifetime
    )

    async def check_key() -> None:
        await check(next(of_keys))

    async def check_token() -> None:
        await check(next(of_tokens))

    async def check(scope: dict[str, Any]) -> None:
        scope = {**scope}
        token = shown_token(scope)
        assert token is not None  # noqa: S101  # made so above
        await gate.admit(scope, await gate.identify(token))

    async def check_session() -> None:
        claims = tokens.verify(session_token, now=datetime.now(UTC))
        await auth.authenticate(database.reader, claims, now=datetime.now(UTC))

    gate._counters = Uncounting()  # noqa: SLF001  # fifty keys would soon be past their minute
    session = await microseconds(check_session, ROUNDS // 10)
    print(f"{'check of a session (a query each)':<45} {session:10.1f} µs  (baseline)")
    show("check of a key, hot", await microseconds(check_key, ROUNDS), 100, session)
    show(
        "check of an access token of a key, hot",
        await microseconds(check_token, ROUNDS),
        100,
        session,
    )
    await database.close()


class Uncounting(InProcessCounters):
    """Costs what counting costs, and never says that it is too much."""

    @override
    async def increment(self, key: str, lifetime: int) -> int:
        await super().increment(key, lifetime)
        return 1


def shown(field: str) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"authorization", field.encode())], "state": {}}


async def open_session(
    connection: "asyncpg.Connection[asyncpg.Record]", account_id: UUID, now: datetime
) -> UUID:
    session_id = uuid4()
    await connection.execute(
        "INSERT INTO session (id, account_id, secret, counter, rotated_at, transport, network,"
        " created_at, last_used_at, expires_at)"
        " VALUES ($1, $2, '', 0, $3, 'bearer', 'unknown', $3, $3, $4)",
        session_id,
        account_id,
        now,
        now + policy.REFRESH_ABSOLUTE_LIFETIME,
    )
    return session_id


async def microseconds(action: Callable[[], Awaitable[None]], rounds: int) -> float:
    for _ in range(rounds // 10):
        await action()
    begun = time.perf_counter()
    for _ in range(rounds):
        await action()
    return (time.perf_counter() - begun) / rounds * 1_000_000


async def over_http(site: Installation, key: str) -> None:
    """The same question by a session and by one busy key, in turns: it spares a query each time."""
    login = {"email": EMAIL, "password": PASSWORD}
    answer = await call(site.port, "POST", "/v1/auth/login", body=login)
    by_session = request("GET", QUESTION, token=answer["access_token"])
    by_key = request("GET", QUESTION, token=key)
    session_rates, key_rates = [], []
    for _ in range(3):
        part = SECONDS / 3
        run = await run_load(site.port, lambda: by_session, connections=16, seconds=part)
        session_rates.append(run.rate)
        run = await run_load(site.port, lambda: by_key, connections=16, seconds=part)
        key_rates.append(run.rate)
    session_rate, key_rate = sorted(session_rates)[1], sorted(key_rates)[1]
    print(f"usage over HTTP: {session_rate:.0f}/s by a session, {key_rate:.0f}/s by a key")
    print(f"{'by key / by session':<45} {key_rate / session_rate:10.2f}")


def show(what: str, value: float, target: float, baseline: float) -> None:
    mark = "met" if value <= target else "MISSED"
    share = f"{value / baseline:.2f} of a session's"
    print(f"{what:<45} {value:10.1f} µs  (target ≤ {target:g}: {mark}; {share})")


def main() -> None:
    with (
        installation(smtp_url="smtp://127.0.0.1:9", with_worker=False) as site,
        on_core(LOAD_CORE),
    ):
        uvloop.run(measure(site))


if __name__ == "__main__":
    main()
