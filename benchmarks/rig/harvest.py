"""Harvests by OAI-PMH, and a burst of news for many saved searches; with baselines of this run."""

import json
import re
import time
from datetime import UTC, datetime
from itertools import cycle
from typing import Any
from urllib.parse import quote

import asyncpg
from sqlalchemy import text

from app.crypto import Keyring
from app.db import Database
from app.jobs.saved_searches import Alerter
from app.services import asset_editing, publication, saved_search_alerts, saved_search_mails
from app.services.context import WORKER, Newsroom
from benchmarks.rig.installation import Installation
from benchmarks.rig.load import connect, request

SEARCHES = 10_000
SEARCHES_PER_ACCOUNT = 20
BURST = 100
PAGES = 30
WORDS = ("harbour", "ship", "exercise", "minister", "storm", "border", "summit", "training")
# As people search: a word, words with a filter, a phrase, filters alone.
QUERIES: tuple[dict[str, Any], ...] = (
    *({"q": word} for word in WORDS),
    *({"q": f"{word} -port", "type": ["video"]} for word in WORDS),
    {"q": '"enter the harbour"'},
    {"q": "harbour or desert", "language": ["en", "fr"]},
    {"country": ["BE"], "min_height": 720},
    {"person": ["Jane Doe"], "has_captions": True},
    {"keyword": ["ships", "harbour"], "min_duration": 10},
)
BODY = "Six ships of three nations enter the harbour while the storm is over the border. " * 40


async def measure(site: Installation, *, searches: int = SEARCHES) -> None:
    """For an installation with some thousands of assets, and without a worker of its own."""
    await harvests(site)
    database = Database(site.environment["DATABASE_URL"])
    try:
        await alerts(site, database, searches)
    finally:
        await database.close()


async def harvests(site: Installation) -> None:
    """One harvester that asks page after page, against as many assets from the JSON list."""
    connection = await connect(site.port)
    list_rate = await _rate(connection, "/v1/assets?limit=100&sort=published_at", _next_cursor)
    for prefix in ("oai_dc", "ebucore"):
        first = f"/oai?verb=ListRecords&metadataPrefix={prefix}"
        rate = await _rate(connection, first, _resumption_token)
        print(f"harvest, {prefix}: {rate:,.0f} records/s, {rate / list_rate:.2f} of the JSON list")
    for name in ("video", "audio", "story"):
        began = time.monotonic()
        path = f"/oai?verb=ListIdentifiers&metadataPrefix=oai_dc&set={name}"
        _, body = await connection.send(request("GET", path))
        shown = len(re.findall(b"<header>|<header ", body))
        took = (time.monotonic() - began) * 1000
        print(f"harvest, first {shown} headers of the set {name}: {took:.0f} ms")


async def _rate(connection: Any, first: str, next_path: Any) -> float:
    """Assets a second of a walk through some pages, a hundred on each."""
    path: str | None = first
    began, pages = time.monotonic(), 0
    while path is not None and pages < PAGES:
        status, body = await connection.send(request("GET", path))
        if status != 200:
            raise RuntimeError(body.decode())
        pages += 1
        path = next_path(first, body)
    return pages * 100 / (time.monotonic() - began)


def _next_cursor(first: str, body: bytes) -> str | None:
    cursor = json.loads(body)["next_cursor"]
    return f"{first}&cursor={quote(cursor)}" if cursor else None


def _resumption_token(_: str, body: bytes) -> str | None:
    found = re.search(rb"<resumptionToken [^>]*>([^<]+)<", body)
    return f"/oai?verb=ListRecords&resumptionToken={found[1].decode()}" if found else None


async def alerts(site: Installation, database: Database, searches: int) -> None:
    """How long one worker takes until all searches have seen a burst of new assets."""
    await _save_searches(site, searches)
    await _publish(database, 3)
    await _timed_look(database, "3 new assets")
    await _publish(database, BURST)
    await _timed_look(database, f"a burst of {BURST} assets", target=30)
    newsroom = Newsroom("news@media.example", "https://api.example", "https://www.example")
    alerter = Alerter(database, newsroom, Keyring(site.secret_key))
    began = time.monotonic()
    mails = 0
    async with database.transaction() as session:
        now = datetime.now(UTC)
        due = await saved_search_mails.due_accounts(session, now=now, limit=searches)
    for account_id in due:
        async with database.transaction() as session:
            mails += await saved_search_mails.mail(
                session, account_id, keyring=alerter.keyring, newsroom=newsroom, now=now
            )
    print(f"alerts: {mails} mails written in {time.monotonic() - began:.1f} s")


async def _save_searches(site: Installation, count: int) -> None:
    """By SQL: the API would take longer than what is measured."""
    connection = await asyncpg.connect(site.environment["DATABASE_URL"])
    await connection.execute(
        """
        INSERT INTO account (id, email, email_key, password_hash, locale, role, created_at,
                             updated_at)
        SELECT gen_random_uuid(), address, address, 'none', 'en', 'member', now(), now()
          FROM (SELECT 'person' || number || '@example.org' AS address
                  FROM generate_series(1, $1) AS number) AS person
        """,
        count // SEARCHES_PER_ACCOUNT,
    )
    queries = cycle(json.dumps(query) for query in QUERIES)
    await connection.execute(
        """
        INSERT INTO saved_search (id, account_id, name, query, alert, paused, last_sequence,
                                  watches_since, has_news, created_at, updated_at)
        SELECT gen_random_uuid(), account.id, 'Search', query::jsonb, 'mail', false,
               change_feed.last_sequence, now(), false, now(), now()
          FROM change_feed, (SELECT id, row_number() OVER () AS number FROM account) AS account
          JOIN unnest($1::text[]) WITH ORDINALITY AS saved (query, place)
            ON saved.place % $2 = account.number % $2
        """,
        [next(queries) for _ in range(count)],
        count // SEARCHES_PER_ACCOUNT,
    )
    await connection.close()


async def _publish(database: Database, count: int) -> None:
    for number in range(count):
        async with database.transaction() as session:
            sent = {
                "title": f"Ships enter the harbour {number}",
                "body": BODY,
                "keywords": ["ships"],
                "location": {"name": "Naval base", "country": "BE"},
                "people": [{"name": "Jane Doe"}],
            }
            now = datetime.now(UTC)
            asset = await asset_editing.create(session, "story", sent, editor=WORKER, now=now)
            await publication.publish(
                session,
                str(asset.id),
                publish_at=None,
                note=None,
                check=lambda _: None,
                editor=WORKER,
                now=now,
            )


async def _timed_look(database: Database, what: str, *, target: float | None = None) -> None:
    began, looking, steps = time.monotonic(), True, 0
    while looking:
        async with database.transaction() as session:
            looking = await saved_search_alerts.look_further(session, now=datetime.now(UTC))
        steps += 1
    took = time.monotonic() - began
    async with database.transaction() as session:
        count = (await session.execute(text("SELECT count(*) FROM saved_search_match"))).scalar()
        told = (await session.execute(text("SELECT count(*) FROM saved_search"))).scalar()
    goal = f" (target ≤ {target:g}: {'met' if took <= target else 'MISSED'})" if target else ""
    print(f"alerts: {told} searches, {what}: {took:.1f} s, {count} matches in all{goal}")
