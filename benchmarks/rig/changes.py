"""The feed of changes: how soon a thousand who wait have a change, and how fast all is replayed."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app.crypto import AccessTokens, Keyring
from app.db import Database
from app.models import Account
from app.services import asset_editing, changes, policy, publication, sessions, signing_keys
from app.services.context import WORKER, Client, Device
from benchmarks.account import show
from benchmarks.rig.installation import Installation, resident_megabytes
from benchmarks.rig.load import connect, request

WAITERS = 1_000
ROUNDS = 20
ARRIVAL = 4.0
CHANGES = 1_000_000
PAGE = 1_000
SESSIONS_PER_ACCOUNT = 50


async def measure(site: Installation, *, size: int = CHANGES, waiters: int = WAITERS) -> None:
    """Of an installation with a catalogue; prints figures beside their targets."""
    database = Database(site.environment["DATABASE_URL"])
    tokens = await open_sessions(site, database, waiters)
    idle = resident_megabytes(site.api_pid)  # what has grown once is not given back
    await call_everybody(site, database, tokens[:1] * waiters, "with one credential", idle)
    await call_everybody(site, database, tokens, "each with its own", idle)
    await replay(site, tokens[0], size)
    await database.close()


# Long-polls


@dataclass(frozen=True)
class Waiter:
    port: int
    token: str

    async def next_after(self, after: str) -> tuple[str, float]:
        """The next cursor, and when it came."""
        path = f"/v1/changes?after={after}&wait={policy.CHANGES_LONGEST_WAIT}"
        connection = await connect(self.port)
        status, body = await connection.send(request("GET", path, token=self.token))
        answered = time.perf_counter()
        connection.close()
        if status == 503:  # busy with those who came with it
            await asyncio.sleep(1)
            return await self.next_after(after)
        assert status == 200, body  # noqa: S101  # what is measured must have happened
        answer = json.loads(body)
        assert len(answer["items"]) == 1  # noqa: S101  # the same
        return answer["next_after"], answered


async def call_everybody(
    site: Installation, database: Database, tokens: Sequence[str], how: str, idle: float
) -> None:
    """Publish again and again while all wait for it."""
    after = await end_of_feed(site, tokens[0])
    grown = 0.0
    waiters = [Waiter(site.port, token) for token in tokens]
    delays: list[float] = []
    last: list[float] = []
    spent: list[float] = []
    for number in range(ROUNDS):
        waiting = []
        for each in waiters:  # over some seconds: how they come is not what is measured
            waiting.append(asyncio.create_task(each.next_after(after)))
            await asyncio.sleep(ARRIVAL / len(waiters))
        await asyncio.sleep(1)
        grown = max(grown, resident_megabytes(site.api_pid) - idle)
        began, before = time.perf_counter(), cpu_seconds(site.api_pid)
        await publish(database, f"bench-{uuid7()}", number)
        answers = await asyncio.gather(*waiting)
        spent.append(cpu_seconds(site.api_pid) - before)
        [after] = {cursor for cursor, _ in answers}
        delays += [answered - began for _, answered in answers]
        last.append(max(answered for _, answered in answers) - began)
    grown = max(grown, resident_megabytes(site.api_pid) - idle)
    delays.sort()
    p99 = delays[int(len(delays) * 0.99)] * 1000
    print(f"{len(waiters)} long-polls, {how}; publish to last answer, median of {ROUNDS}:", end="")
    print(f" {sorted(last)[len(last) // 2] * 1000:.0f} ms, worst {max(last) * 1000:.0f} ms")
    print(f"  CPU of the process for them: {sorted(spent)[len(spent) // 2] * 1000:.0f} ms")
    show("  publish to answer, p99", p99, "ms", 250)
    show("  memory of the process beyond idle", grown, "MB", 50)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def end_of_feed(site: Installation, token: str) -> str:
    connection = await connect(site.port)
    _, body = await connection.send(request("GET", "/v1/changes?after=now", token=token))
    connection.close()
    return str(json.loads(body)["next_after"])


async def publish(database: Database, slug: str, number: int) -> None:
    """As another process does, with a text of a usual length."""
    now = datetime.now(UTC)
    fields = {"slug": slug, "title": f"Number {number}", "body": "All quiet. " * 300}
    async with database.transaction() as session:
        asset = await asset_editing.create(session, "story", fields, editor=WORKER, now=now)
        await publication.publish(
            session,
            str(asset.id),
            publish_at=None,
            note=None,
            check=lambda _: None,
            editor=WORKER,
            now=now,
        )


async def open_sessions(site: Installation, database: Database, count: int) -> list[str]:
    """Access tokens of so many sessions, as log-ins would give them."""
    keyring, now = Keyring(site.secret_key), datetime.now(UTC)
    url = f"http://127.0.0.1:{site.port}"
    tokens = AccessTokens(issuer=url, audience=url)
    async with database.transaction() as session:
        tokens.use_keys(await signing_keys.load(session, keyring=keyring, now=now))
    device = Device("bearer", None, Client("127.0.0.1", None, None, None))
    issued: list[str] = []
    while len(issued) < count:
        async with database.transaction() as session:
            email = f"{uuid7()}@example.org"
            account = Account(
                email=email,
                email_key=email,
                password_hash="none",
                locale="en",
                created_at=now,
                updated_at=now,
            )
            session.add(account)
            await session.flush()
            for _ in range(min(SESSIONS_PER_ACCOUNT, count - len(issued))):
                opened = await sessions.open_session(
                    session, account, device=device, keyring=keyring, now=now
                )
                issued.append(token_of(tokens, account.id, opened.id, now))
    return issued


def token_of(tokens: AccessTokens, account_id: UUID, session_id: UUID, now: datetime) -> str:
    return tokens.issue(
        account_id=account_id,
        session_id=session_id,
        scope="account",
        now=now,
        lifetime=policy.ACCESS_TOKEN_LIFETIME,
    )


# Replay


async def replay(site: Installation, token: str, count: int) -> None:
    """Everything from the beginning, a page after the other over one connection."""
    database = await asyncpg.connect(
        site.environment["DATABASE_URL"], server_settings={"statement_timeout": "0", "jit": "off"}
    )
    size = await fill(database, count)
    directly = await read_directly(database)
    await database.close()
    before = cpu_seconds(site.api_pid)
    found, seconds, megabytes = read_feed(site, token)
    spent = (cpu_seconds(site.api_pid) - before) / found
    assert found == count  # noqa: S101  # no gap, no double
    rate = found / seconds
    print(f"{found} changes, documents of {size:.0f} bytes: {megabytes / seconds:.0f} MB/s")
    print(f"  CPU of the process for each: {spent * 1e6:.1f} µs")
    print(f"{'  the same rows by asyncpg':<45} {directly:10.0f} /s")
    show("  replay", rate, "/s", 50_000, at_least=True)
    show("  replay / the same rows by asyncpg", rate / directly, "", 0.5, at_least=True)


async def fill(database: "asyncpg.Connection[asyncpg.Record]", count: int) -> float:
    """So many changes of the assets that are there; gives the length of a document."""
    await database.execute("TRUNCATE change")
    await database.execute(_FILL, count)
    await database.execute("UPDATE change_feed SET last_sequence = $1", count)
    await database.execute("VACUUM (ANALYZE) change")
    query = "SELECT avg(octet_length(document))::float FROM asset WHERE state = 'published'"
    return float(await database.fetchval(query))


_FILL = """
    WITH asset AS (
        SELECT id, version, row_number() OVER (ORDER BY published_at, id) - 1 AS place,
               count(*) OVER () AS assets
          FROM asset WHERE state = 'published'
    )
    INSERT INTO change (id, sequence, kind, asset_id, version, occurred_at, committed_at, is_latest)
    SELECT gen_random_uuid(), sequence, 'updated', asset.id, version, now(), now(), false
      FROM generate_series(1, $1::int) AS sequence
      JOIN asset ON place = sequence % assets ORDER BY sequence
"""


async def read_directly(database: "asyncpg.Connection[asyncpg.Record]") -> float:
    """Rows a second of the same pages, in which no answer is made of them."""
    query = """
        SELECT sequence, kind, asset_id, change.version, occurred_at, document
          FROM change LEFT JOIN asset ON asset.id = asset_id
         WHERE sequence > $1 ORDER BY sequence LIMIT $2
    """
    after, began = 0, time.perf_counter()
    while rows := await database.fetch(query, after, PAGE):
        after = rows[-1]["sequence"]
    return after / (time.perf_counter() - began)


def read_feed(site: Installation, token: str) -> tuple[int, float, float]:
    """How many changes there were, in how many seconds, and their megabytes.

    By a client that costs as little as one can, for it shares its core with the database.
    """
    buffer = memoryview(bytearray(16 * 1024 * 1024))
    after, sequence, size, began = "", 0, 0, time.perf_counter()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        while True:
            path = f"/v1/changes?limit={PAGE}" + (f"&after={after}" if after else "")
            connection.sendall(request("GET", path, token=token))
            length = receive_answer(connection, buffer)
            size += length
            after = bytes(buffer[length - 34 : length - 2]).decode()
            if changes.read_cursor(after).sequence == sequence:
                return sequence, time.perf_counter() - began, size / 1_000_000
            sequence = changes.read_cursor(after).sequence


def receive_answer(connection: socket.socket, buffer: memoryview) -> int:
    """The length of an answer, which is at the beginning of the buffer."""
    received = connection.recv_into(buffer)
    while (end := bytes(buffer[:received]).find(b"\r\n\r\n")) < 0:
        received += connection.recv_into(buffer[received:])
    head = bytes(buffer[:end]).lower()
    assert head.startswith(b"http/1.1 200"), head  # noqa: S101  # or nothing is measured
    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    got = received - end - 4
    buffer[:got] = bytes(buffer[end + 4 : received])
    while got < length:
        got += connection.recv_into(buffer[got:length])
    return length
