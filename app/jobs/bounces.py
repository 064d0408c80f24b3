"""Takes bounces and complaints in by SMTP or LMTP (BOUNCE_LISTEN)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.adapters.bounce_listener import BounceListener, ListenerLimits
from app.crypto import Keyring
from app.db import Database
from app.jobs import faults
from app.services import bounces, newsletter_tokens, policy
from app.settings import Settings

# Where feedback loops send their reports: these name whom they are about in the mail itself.
COMPLAINTS = "complaints"


@dataclass(frozen=True, slots=True)
class BounceIntake:
    database: Database
    keyring: Keyring = field(repr=False)
    domain: str

    def accepts(self, address: str) -> bool:
        """Whether this is an address that we gave out."""
        local_part, _, domain = address.rpartition("@")
        if domain.lower() != self.domain:
            return False
        recipient = newsletter_tokens.read_bounce_address(address, keyring=self.keyring)
        return recipient is not None or local_part.lower() == COMPLAINTS

    async def take_in(self, raw: bytes, recipients: Sequence[str]) -> None:
        """Returns once it is committed, and raises when it could not be."""
        try:
            async with self.database.transaction() as session:
                await bounces.take_in(
                    session, raw, recipients, keyring=self.keyring, now=datetime.now(UTC)
                )
        except Exception as error:
            faults.report("inbound_mail_postponed", error)
            raise


async def listen(database: Database, *, settings: Settings, keyring: Keyring) -> None:
    """Listen until cancelled; returns at once where nothing says on which address."""
    if settings.bounce_listen is None or settings.bounce_domain is None:
        return
    intake = BounceIntake(database, keyring, settings.bounce_domain)
    listener = BounceListener(
        settings.bounce_listen,
        name=settings.bounce_domain,
        accepts=intake.accepts,
        take_in=intake.take_in,
        limits=ListenerLimits(message_bytes=policy.INBOUND_MAIL_MAX_BYTES),
    )
    await listener.run()
