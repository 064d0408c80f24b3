"""Sends webhooks: any number of workers share one ledger, and none speaks to a receiver in it."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache, partial
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.webhook_client import TOTAL_TIMEOUT, WebhookClient, WebhookError
from app.clock import utc_now
from app.crypto import Keyring, UnsealError
from app.db import Database
from app.jobs import faults
from app.jobs.webhook_answers import judge_answer, judge_failure
from app.listener import Connect, Listener
from app.services import (
    changes,
    policy,
    webhook_claims,
    webhook_fan_out,
    webhook_messages,
    webhook_outcomes,
    webhook_secrets,
    webhook_states,
    webhook_urls,
)
from app.services.webhook_claims import Claim
from app.services.webhook_outcomes import Outcome
from app.services.webhook_urls import WebhookUrlRefused

log = structlog.get_logger(__name__)

# On their way at once from this worker; of these, to endpoints that fail.
AT_ONCE, FAILING_AT_ONCE = 400, 200
# Seconds. How often the ledger is looked at although nothing was announced, and how long results
# are gathered for one commit.
POLL, GATHER = 1.0, 0.002
# How long after a fault of the database it is asked again.
RETRY_PAUSE = 0.5
# How long a delivery waits that this worker has no key for.
UNREADABLE_PAUSE = timedelta(minutes=1)
# Whose keys are kept open, and whose URLs are known to be good.
ENDPOINTS_KEPT = 1_000
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The installation that a worker sends for."""

    keyring: Keyring = field(repr=False)
    api_url: str
    # Whether this host may be sent to: in development.
    loopback: bool
    lease: timedelta = policy.WEBHOOK_LEASE


class WebhookSender:
    """Reads the feed in one loop, claims and notes results in another; exchanges are tasks beside.

    A result is kept until it is written, also while the database is away.
    """

    def __init__(self, database: Database, client: WebhookClient, around: Surroundings) -> None:
        self._database = database
        self._client = client
        self._around = around
        # There may be changes to read, and there is something to send or to note.
        self._news, self._work = asyncio.Event(), asyncio.Event()
        self._under_way: dict[asyncio.Task[None], Claim] = {}
        self._results: list[Outcome] = []
        self._unreadable: list[Claim] = []
        self._signer = lru_cache(ENDPOINTS_KEPT)(
            partial(webhook_secrets.open_signer, keyring=around.keyring)
        )
        self._checked = lru_cache(ENDPOINTS_KEPT)(
            partial(webhook_urls.checked, loopback=around.loopback)
        )

    async def run(self, stop: asyncio.Event, connect: Connect | None = None) -> None:
        """Send until `stop` is set, then finish what is on its way."""
        beside = [
            asyncio.create_task(self._listen(connect or self._database.connect)),
            asyncio.create_task(self._wake_at(stop)),
            asyncio.create_task(self._read_on(stop)),
        ]
        self._hear()
        try:
            while not stop.is_set():
                await self._turn()
            await self._wind_up()
        finally:
            for task in (*beside, *self._under_way):
                task.cancel()
            await asyncio.gather(*beside, *self._under_way, return_exceptions=True)
            await self._client.close()

    async def sweep(self) -> None:
        """Give up endpoints that have failed for five days."""
        gone: UUID | None
        while True:
            async with self._database.transaction() as session:
                gone = await webhook_states.disable_next(
                    session, keyring=self._around.keyring, now=utc_now()
                )
            if gone is None:
                return
            log.info("webhook_disabled", webhook_id=str(gone))

    async def _listen(self, connect: Connect) -> None:
        """Hear of changes and of other messages. Whoever has not heard looks once a second."""
        hearers = dict.fromkeys((changes.CHANNEL, webhook_messages.CHANNEL), self._hear)
        await Listener(connect, hearers, vouch=lambda _: None, distrust=self._hear).run()

    def _hear(self, _: str = "") -> None:
        self._news.set()
        self._work.set()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._hear()

    async def _read_on(self, stop: asyncio.Event) -> None:
        """Turn changes into deliveries, in a loop of its own: sending does not wait for it."""
        farthest_first = True
        while not stop.is_set():
            await _rest(self._news)
            is_behind = True
            while is_behind and not stop.is_set():
                farthest_first = not farthest_first
                is_behind = await self._read_part(farthest_first=farthest_first)

    async def _read_part(self, *, farthest_first: bool) -> bool:
        """Whether there may be more to read."""
        try:
            async with self._database.transaction() as session:
                is_behind = await webhook_fan_out.read_on(
                    session,
                    api_url=self._around.api_url,
                    now=utc_now(),
                    farthest_first=farthest_first,
                )
        except Exception as error:  # noqa: BLE001  # the database is away, say: it comes back
            faults.report("changes_not_read_for_webhooks", error)
            await asyncio.sleep(RETRY_PAUSE)
            return False
        self._work.set()
        return is_behind

    async def _turn(self) -> None:
        """Note what has come back and take more, when there is any of either."""
        await _rest(self._work)
        results, self._results = self._results, []
        unreadable, self._unreadable = self._unreadable, []
        try:
            async with self._database.transaction() as session:
                await self._note(session, results, unreadable)
                claims = await self._claim(session)
        except Exception as error:  # noqa: BLE001  # the database is away, say: it comes back
            self._results = results + self._results
            self._unreadable = unreadable + self._unreadable
            faults.report("webhooks_not_looked_after", error)
            await asyncio.sleep(RETRY_PAUSE)
            self._work.set()
            return
        for claim in claims:
            task = asyncio.create_task(self._send(claim))
            self._under_way[task] = claim
            task.add_done_callback(self._under_way.pop)

    async def _claim(self, session: AsyncSession) -> Sequence[Claim]:
        counted = Counter(claim.is_failing for claim in self._under_way.values())
        room = AT_ONCE - counted.total()
        if room <= 0:
            return []
        return await webhook_claims.claim(
            session,
            room=room,
            failing_room=FAILING_AT_ONCE - counted[True],
            now=utc_now(),
            lease=self._around.lease,
        )

    async def _send(self, claim: Claim) -> None:
        """Make one attempt, and leave its result to be noted."""
        try:
            # On a line of its own: the list may be another one after the waiting.
            outcome = await self._attempt(claim)
            self._results.append(outcome)
        except UnsealError:
            # This worker may be the one with the wrong key, so the others shall have it.
            log.warning("webhook_unreadable", webhook_id=str(claim.endpoint_id))
            self._unreadable.append(claim)
        except Exception as error:  # noqa: BLE001  # a fault of ours must not stop the others
            faults.report("webhook_not_sent", error, webhook_id=str(claim.endpoint_id))
            self._results.append(judge_failure(claim, "internal_error", utc_now(), 0))
        finally:
            self._work.set()

    async def _attempt(self, claim: Claim) -> Outcome:
        began, body = time.monotonic(), claim.payload.encode()
        headers = self._headers(claim, body)
        try:
            url = self._checked(claim.url)
            answer = await self._client.post(url, body, headers)
        except WebhookUrlRefused:
            return judge_failure(claim, "address_refused", utc_now(), 0)
        except WebhookError as error:
            return judge_failure(claim, error.code, utc_now(), time.monotonic() - began)
        return judge_answer(claim, answer, utc_now(), time.monotonic() - began)

    def _headers(self, claim: Claim, body: bytes) -> dict[str, str]:
        now = utc_now()
        ends_at = claim.previous_secret_ends_at
        is_over = ends_at is not None and policy.is_expired(ends_at, now)
        signer = self._signer(
            claim.sealed_secret,
            None if is_over else claim.sealed_previous_secret,
            claim.sealed_signing_key,
        )
        timestamp = int(now.timestamp())
        return {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": claim.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signer.sign(claim.message_id, timestamp, body),
        }

    async def _note(
        self, session: AsyncSession, results: Sequence[Outcome], unreadable: Sequence[Claim]
    ) -> None:
        if unreadable:
            await webhook_claims.give_back(session, unreadable, until=utc_now() + UNREADABLE_PAUSE)
        if results:
            for outcome in await webhook_outcomes.note(session, results):
                await self._follow_up(session, outcome)

    async def _follow_up(self, session: AsyncSession, outcome: Outcome) -> None:
        """Heed what a result means for its endpoint, which is locked by now."""
        is_proven = outcome.is_delivered and outcome.claim.event == webhook_messages.CHALLENGE
        if is_proven or outcome.is_gone:
            await webhook_states.follow_answer(
                session,
                outcome.claim.endpoint_id,
                "proven" if is_proven else "gone",
                keyring=self._around.keyring,
                now=outcome.at,
            )

    async def _wind_up(self) -> None:
        """Let what is on its way come to an end, and note it."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=TOTAL_TIMEOUT)
        patience_ends = time.monotonic() + TOTAL_TIMEOUT
        while self._results or self._unreadable:
            try:
                async with self._database.transaction() as session:
                    await self._note(session, self._results, self._unreadable)
            except Exception as error:
                faults.report("webhooks_not_noted", error)
                if time.monotonic() > patience_ends:
                    raise
                await asyncio.sleep(RETRY_PAUSE)
            else:
                return


async def _rest(event: asyncio.Event) -> None:
    """Until it is set, a second at most; and a moment longer, for what comes with it."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), POLL)
        await asyncio.sleep(GATHER)
    event.clear()
