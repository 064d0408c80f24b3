"""The worker: which jobs there are, what sweeps up the lost ones, and what runs at fixed times."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from app.adapters.dkim import DkimSigner, open_signer
from app.adapters.smtp import SmtpLimits, SmtpPool
from app.adapters.storage import ObjectStorage, StorageError, open_storage
from app.adapters.upload_store import open_upload_store
from app.adapters.webhook_client import WebhookClient
from app.crypto import Keyring
from app.db import Database
from app.jobs import bounces, editions, faults, retention, stored_objects
from app.jobs.changes import FeedKeeper
from app.jobs.consumer import Consumer, JobKind, Patience, Periodic, sleep
from app.jobs.delivery_attempts import Post
from app.jobs.digests import Digester
from app.jobs.exports import Exporter
from app.jobs.incoming_files import IncomingFiles
from app.jobs.mail_outbox import Circuit, MailSender
from app.jobs.newsletter_sending import CONNECTIONS, EditionSender
from app.jobs.publication import Publisher
from app.jobs.renditions import RenditionProcessor
from app.jobs.saved_searches import Alerter
from app.jobs.uploads import Cleaner
from app.jobs.webhooks import Surroundings, WebhookSender
from app.services import (
    asset_relations,
    mail_outbox,
    policy,
    rendition_processing,
    webhook_urls,
)
from app.services.context import Newsroom
from app.settings import Settings, SettingsError

__all__ = ["Pace", "Periodic", "run"]

MAIL_CONNECTIONS = 10
# So many that connections need not wait for the rendering and the rows of their next mails.
MAILS_AT_ONCE = 20
# RFC 5321, section 4.5.3.2.6, asks for ten minutes, which would be longer than a lease. Of a code
# it is better to send two than to wait; an edition is in no hurry, and should come once.
BULK_LIMITS = SmtpLimits(contents=85)


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a worker notices things; tests are in more of a hurry."""

    sweep: float = 2
    mail_pause: float = 2
    mail_lease: timedelta = policy.MAIL_LEASE
    delivery_lease: timedelta = policy.DELIVERY_LEASE
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
    newsroom = _newsroom(settings)
    mail = _open_mail(database, newsroom, settings, keyring, smtp_url, stop, pace)
    duties = _duties(database, mail.codes, newsroom, settings)
    direct = Database(settings.database_direct_url) if settings.database_direct_url else database
    timed = [*duties.timed, *periodic]
    consumer = Consumer(direct, duties.kinds, timed, patience=pace.patience, stop=stop)
    sweeps = [*duties.sweeps, _open_exporter(database, direct, settings).sweep]
    sweeping = [asyncio.create_task(_repeat(sweep, pace.sweep, stop)) for sweep in sweeps]
    sweeping.append(
        asyncio.create_task(bounces.listen(database, settings=settings, keyring=keyring))
    )
    sending = asyncio.create_task(mail.editions.run(stop))
    webhooks = _open_webhooks(database, settings, keyring)
    sweeping.append(asyncio.create_task(_repeat(webhooks.sweep, pace.sweep, stop)))
    telling = asyncio.create_task(webhooks.run(stop, direct.connect))
    try:
        await asyncio.gather(consumer.run(), sending, telling)
    finally:
        for task in sweeping:
            task.cancel()
        await asyncio.gather(*sweeping, sending, telling, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in mail.pools))


@dataclass(frozen=True, slots=True)
class _Mail:
    """What sends codes and notices, what sends editions, and the connections of each."""

    codes: MailSender
    editions: EditionSender
    pools: Sequence[SmtpPool]


def _open_mail(
    database: Database,
    newsroom: Newsroom,
    settings: Settings,
    keyring: Keyring,
    smtp_url: str,
    stop: asyncio.Event,
    pace: Pace,
) -> _Mail:
    """Two lanes that share no connection, so that no code waits behind an edition."""
    signer = _open_signer(settings)
    quick = _open_pool(smtp_url, settings, MAIL_CONNECTIONS, SmtpLimits())
    bulk = _open_pool(smtp_url, settings, CONNECTIONS, BULK_LIMITS)
    circuits = [Circuit(stop, shortest=pace.mail_pause) for _ in (quick, bulk)]
    codes = MailSender(
        database,
        keyring,
        quick,
        circuits[0],
        settings.mail_from,
        settings.links_url,
        pace.mail_lease,
        signer,
    )
    post = Post(bulk, circuits[1], newsroom, keyring, signer)
    rate, lease = settings.newsletter_rate, pace.delivery_lease
    return _Mail(codes, EditionSender(database, post, rate=rate, lease=lease), (quick, bulk))


@dataclass(frozen=True, slots=True)
class _Duties:
    """Jobs, what finds the lost ones among them, and what runs at fixed times."""

    kinds: Sequence[JobKind]
    sweeps: Sequence[Callable[[], Awaitable[object]]]
    timed: Sequence[Periodic]


def _duties(
    database: Database, mail_sender: MailSender, newsroom: Newsroom, settings: Settings
) -> _Duties:
    """One line each."""
    publisher = Publisher(database)
    storage = _open_storage(settings)
    objects = stored_objects.Keeper(database, storage)
    upload_store = open_upload_store(storage)
    cleaner = Cleaner(database, upload_store)
    feed = FeedKeeper(database)
    incoming = IncomingFiles(storage, upload_store)
    processor = RenditionProcessor(database, incoming, settings.data_dir / "tmp")
    return _Duties(
        kinds=[
            JobKind(mail_outbox.ENTRYPOINT, mail_sender.handle, at_once=MAILS_AT_ONCE),
            JobKind(asset_relations.REFERRERS_ENTRYPOINT, publisher.render_referrers, at_once=2),
            JobKind(stored_objects.ENTRYPOINT, objects.move, at_once=2),
            JobKind(rendition_processing.ENTRYPOINT, processor.handle, at_once=2),
        ],
        sweeps=[
            mail_sender.sweep,
            publisher.sweep,
            objects.sweep,
            processor.sweep,
            feed.begin,
            partial(editions.start_due, database, newsroom),
            Alerter(database, newsroom, mail_sender.keyring).sweep,
        ],
        timed=[
            Periodic("purge", "17 * * * *", partial(retention.purge, database)),
            Periodic("make_digests", "* * * * *", Digester(database, newsroom).make_due),
            Periodic("collect_objects", "27 * * * *", objects.collect),
            Periodic("remove_ended_uploads", "* * * * *", cleaner.remove_ended),
            Periodic("remove_stray_uploads", "47 * * * *", cleaner.remove_strays),
            Periodic("complete_the_feed", "7 * * * *", feed.reconcile),
            Periodic("collect_stray_objects", "37 3 * * *", objects.collect_strays),
        ],
    )


def _open_webhooks(database: Database, settings: Settings, keyring: Keyring) -> WebhookSender:
    loopback = not settings.is_production
    client = WebhookClient(partial(webhook_urls.is_allowed, loopback=loopback))
    around = Surroundings(keyring, settings.base_url, loopback=loopback)
    return WebhookSender(database, client, around)


def _open_exporter(database: Database, direct: Database, settings: Settings) -> Exporter:
    objects = stored_objects.Keeper(database, _open_storage(settings))
    return Exporter(objects, direct, settings.data_dir / "tmp")


def _newsroom(settings: Settings) -> Newsroom:
    return Newsroom(
        sender=settings.newsletter_sender,
        api_url=settings.base_url,
        pages_url=settings.links_url,
        bounce_domain=settings.bounce_domain,
    )


def _open_pool(smtp_url: str, settings: Settings, size: int, limits: SmtpLimits) -> SmtpPool:
    plain = not settings.is_production
    try:
        return SmtpPool(smtp_url, size=size, opportunistic_tls=plain, limits=limits)
    except ValueError as error:
        raise SettingsError(f"SMTP_URL: {error}") from None


def _open_signer(settings: Settings) -> DkimSigner | None:
    try:
        return open_signer(settings)
    except ValueError as error:
        raise SettingsError(f"DKIM_KEY: {error}") from None


def _open_storage(settings: Settings) -> ObjectStorage:
    url = settings.storage_url.get_secret_value() if settings.storage_url else None
    try:
        return open_storage(url, default_folder=settings.data_dir / "objects")
    except StorageError as error:
        raise SettingsError(f"STORAGE_URL: {error}") from None


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
