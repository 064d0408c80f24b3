"""The account under load, as ratios of one run: `python benchmarks/account.py`.

The API has one core; database, worker and load share the other.
"""

import asyncio
import secrets
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
import uvloop

from app.crypto import AccessTokens, Keyring, PasswordHasher, generate_signing_key, load_signing_key
from benchmarks.rig.installation import (
    LOAD_CORE,
    ROOT,
    SERVER_CORE,
    Installation,
    free_port,
    installation,
    on_core,
    resident_megabytes,
    started,
    wait_until_ready,
)
from benchmarks.rig.load import at_rate, call, connect, request, run_load

SECONDS = 8.0
ACCOUNTS = 64
PASSWORD = "Correct-Horse-7-Battery"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "mails"
        log.touch()
        sink_port = free_port()
        sink = (str(ROOT / "benchmarks/rig/smtp_sink.py"), str(sink_port), str(log))
        with (
            started(*sink, environment={}, core=LOAD_CORE),
            installation(smtp_url=f"smtp://127.0.0.1:{sink_port}") as site,
            on_core(LOAD_CORE),
        ):
            uvloop.run(measure(site, log))


async def measure(site: Installation, log: Path) -> None:
    hash_rate = bare_hash_rate()
    tokens = await make_accounts(site)
    await who_am_i(site, tokens)
    token_check()
    await login_storm(site, tokens, hash_rate)
    await registrations(site, log, rate=0.8 * hash_rate)
    print(f"resident memory of the API under load: {resident_megabytes(site.api_pid):.0f} MB")
    await asyncio.sleep(
        6
    )  # it gives the hash threads' memory back when they have been idle for 5 s
    show("resident memory of the API after the run", resident_megabytes(site.api_pid), "MB", 130)


def bare_hash_rate() -> float:
    """Verifications a second of one thread on the API's core, with our parameters."""
    hasher = PasswordHasher(Keyring(secrets.token_urlsafe(48)), threads=1)
    stored = hasher._hash(PASSWORD)  # noqa: SLF001  # without pool and loop: bare
    with on_core(SERVER_CORE):
        begun, count = time.perf_counter(), 0
        while time.perf_counter() < begun + SECONDS / 2:
            hasher._verify(PASSWORD, stored)  # noqa: SLF001
            count += 1
        rate = count / (time.perf_counter() - begun)
    hasher.close()
    print(f"bare argon2id verification: {rate:.1f}/s on the API's core")
    return rate


async def make_accounts(site: Installation) -> list[str]:
    """Accounts with sessions, written as a registration leaves them; returns access tokens."""
    hasher = PasswordHasher(Keyring(site.secret_key))
    password_hash = await hasher.hash(PASSWORD)
    hasher.close()
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    now = datetime.now(UTC)
    await connection.executemany(
        "INSERT INTO account (id, email, email_key, password_hash, locale, role, created_at,"
        " updated_at) VALUES ($1, $2, $2, $3, 'en', 'member', $4, $4)",
        [(uuid4(), address(number), password_hash, now) for number in range(ACCOUNTS)],
    )
    await connection.close()
    logins = [login_body(number) for number in range(16)]
    answers = [await call(site.port, "POST", "/v1/auth/login", body=body) for body in logins]
    return [answer["access_token"] for answer in answers]


def address(number: int) -> str:
    return f"person{number}@example.org"


def login_body(number: int) -> dict[str, str]:
    return {"email": address(number), "password": PASSWORD}


async def who_am_i(site: Installation, tokens: list[str]) -> None:
    """Against an empty FastAPI endpoint on the same core, in turns."""
    port = free_port()
    command = (str(ROOT / "benchmarks/rig/empty_app.py"), str(port))
    environment = {"PYTHONPATH": str(ROOT)}
    requests = cycle([request("GET", "/v1/account", token=token) for token in tokens])
    nothing = request("GET", "/")
    with started(*command, environment=environment, core=SERVER_CORE):
        wait_until_ready(port, path="/")
        empty, ours = [], []
        for _ in range(3):
            part = SECONDS / 3
            empty.append(await run_load(port, lambda: nothing, connections=16, seconds=part))
            ours.append(
                await run_load(site.port, lambda: next(requests), connections=16, seconds=part)
            )
    empty_rate = sorted(run.rate for run in empty)[1]
    our_rate = sorted(run.rate for run in ours)[1]
    print(f"who am I: {our_rate:.0f}/s, empty FastAPI endpoint: {empty_rate:.0f}/s")
    show("who am I / empty endpoint", our_rate / empty_rate, "", 0.17, at_least=True)


def token_check() -> None:
    now = datetime.now(UTC)
    signer = AccessTokens(issuer="http://api", audience="http://api")
    signer.use_keys([load_signing_key(generate_signing_key(), kid="k", signs_from=now)])
    issue = [
        signer.issue(
            account_id=uuid4(),
            session_id=uuid4(),
            scope="account",
            now=now,
            lifetime=timedelta(minutes=10),
        )
        for _ in range(500)
    ]
    for name, limit in (("new", 150), ("seen before", 20)):
        begun = time.perf_counter()
        for token in issue:
            signer.verify(token, now=now)
        microseconds = (time.perf_counter() - begun) / len(issue) * 1_000_000
        show(f"token check, {name}", microseconds, "µs", limit)


async def login_storm(site: Installation, tokens: list[str], hash_rate: float) -> None:
    """16 connections that log in without pause: alone, then with 4 that ask who they are."""
    bodies = cycle([request("POST", "/v1/auth/login", body=login_body(n)) for n in range(ACCOUNTS)])
    readers = cycle([request("GET", "/v1/account", token=token) for token in tokens])
    alone = await run_load(site.port, lambda: next(bodies), connections=16, seconds=SECONDS)
    print(f"logins: {alone.rate:.1f}/s, statuses {alone.statuses}")
    show("logins / bare verification", alone.rate / hash_rate, "", 0.9, at_least=True)
    logins, reads = await asyncio.gather(
        run_load(site.port, lambda: next(bodies), connections=16, seconds=SECONDS),
        run_load(site.port, lambda: next(readers), connections=4, seconds=SECONDS),
    )
    print(f"beside readers: {logins.rate:.1f} logins/s, {reads.rate:.0f} reads/s")
    show("who am I in the storm, p99", reads.percentile(0.99) * 1000, "ms", 100)


async def registrations(site: Installation, log: Path, *, rate: float) -> None:
    """Registrations at a steady rate for 20 s: none lost, none twice, and how soon the mail is."""
    accepted: dict[str, float] = {}
    seconds = 20.0
    run = uuid4().hex[:8]

    async def register(number: int) -> None:
        email = f"{run}-{number}@example.org"
        connection = await connect(site.port)
        body = {"email": email, "password": PASSWORD}
        status, _ = await connection.send(request("POST", "/v1/auth/register", body=body))
        connection.close()
        if status == 202:
            accepted[email] = time.time()

    await at_rate(rate, seconds, register)
    mails = await mails_of(log, run, expected=len(accepted))
    delays = sorted(
        max(0.0, mails[email][0] - at) for email, at in accepted.items() if email in mails
    )
    print(f"registrations: {len(accepted)} accepted of {int(rate * seconds)} at {rate:.0f}/s")
    show("mails lost", len(accepted) - len(delays), "", 0)
    show("mails sent twice", sum(len(times) > 1 for times in mails.values()), "", 0)
    show("202 to the server's 250, p50", delays[len(delays) // 2] * 1000, "ms", 50)
    show("202 to the server's 250, p99", delays[int(len(delays) * 0.99)] * 1000, "ms", 500)


async def mails_of(log: Path, run: str, *, expected: int) -> dict[str, list[float]]:
    """When each address of a run got its mails, once all are there or ten seconds have passed."""
    for _ in range(100):
        if len(read_log(log, run)) >= expected:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)  # for what might come twice
    return read_log(log, run)


def read_log(log: Path, run: str) -> dict[str, list[float]]:
    mails: dict[str, list[float]] = {}
    for line in log.read_text().splitlines():
        at, _, email = line.partition(" ")
        if email.startswith(run):
            mails.setdefault(email, []).append(float(at))
    return mails


def show(what: str, value: float, unit: str, target: float, *, at_least: bool = False) -> None:
    met = value >= target if at_least else value <= target
    sign, mark = "≥" if at_least else "≤", "met" if met else "MISSED"
    print(f"{what:<45} {value:10.3f} {unit:<3} (target {sign} {target:g}: {mark})")


if __name__ == "__main__":
    main()
