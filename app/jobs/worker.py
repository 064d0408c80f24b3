"""The worker: which jobs there are, what sweeps up the lost ones, and what runs at fixed times."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from app.adapters.smtp import SmtpPool
from app.crypto import Keyring
from app.db import Database
from app.jobs import faults, retention
from app.jobs.consumer import Consumer, JobKind, Patience, Periodic, sleep
from app.jobs.mail_outbox import Circuit, MailSender
from app.services import mail_outbox, policy
from app.settings import Settings, SettingsError

__all__ = ["Pace", "Periodic", "run"]

MAIL_CONNECTIONS = 10
# So many that connections need not wait for the rendering and the rows of their next mails.
MAILS_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a worker notices things; tests are in more of a hurry."""

    sweep: float = 2
    mail_pause: float = 2
    mail_lease: timedelta = policy.MAIL_LEASE
    patience: Patience = field(default_factory=Patience)


_DEFAULT_PACE = Pace()


async def run(
    database: Database,
    *,
    settings: Settings,
    keyring: Keyring,
    smtp_url: str,
    stop: asyncio.Event,
    periodic: Sequence[Periodic] = (),
    pace: Pace = _DEFAULT_PACE,
) -> None:
    """Work until `stop` is set, then finish what is running."""
    smtp = _open_pool(smtp_url, settings)
    circuit = Circuit(stop, shortest=pace.mail_pause)
    sender, site = settings.mail_from, settings.links_url
    mail_sender = MailSender(database, keyring, smtp, circuit, sender, site, pace.mail_lease)
    # Jobs, what finds the lost ones among them, and what runs at fixed times: one line each.
    kinds = [JobKind(mail_outbox.ENTRYPOINT, mail_sender.handle, at_once=MAILS_AT_ONCE)]
    sweeps = [mail_sender.sweep]
    hourly = Periodic("purge", "17 * * * *", partial(retention.purge, database))

    direct = Database(settings.database_direct_url) if settings.database_direct_url else database
    consumer = Consumer(direct, kinds, [hourly, *periodic], patience=pace.patience, stop=stop)
    sweeping = [asyncio.create_task(_repeat(sweep, pace.sweep, stop)) for sweep in sweeps]
    try:
        await consumer.run()
    finally:
        for task in sweeping:
            task.cancel()
        await asyncio.gather(*sweeping, return_exceptions=True)
        await smtp.close()


def _open_pool(smtp_url: str, settings: Settings) -> SmtpPool:
    try:
        return SmtpPool(
            smtp_url, size=MAIL_CONNECTIONS, opportunistic_tls=not settings.is_production
        )
    except ValueError as error:
        raise SettingsError(f"SMTP_URL: {error}") from None


async def _repeat(
    task: Callable[[], Awaitable[object]], interval: float, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        try:
            await task()
        except Exception as error:  # noqa: BLE001  # the database is away, say; its next time comes
            faults.report("sweep_failed", error)
        # Workers that started together do not stay in step.
        await sleep(interval * random.uniform(0.8, 1.2), stop)  # noqa: S311  # guards nothing
