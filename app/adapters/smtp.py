"""Mail over SMTP through a pool of persistent connections."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cache
from urllib.parse import unquote, urlsplit

from app.adapters.smtp_session import (
    Clearance,
    Delivery,
    SmtpError,
    SmtpPermanent,
    SmtpServer,
    SmtpSession,
    SmtpTemporary,
    SmtpUnavailable,
    SmtpWithheld,
    Tls,
    Unresponsive,
    open_session,
)
from app.settings import is_loopback

__all__ = [
    "SmtpError",
    "SmtpLimits",
    "SmtpPermanent",
    "SmtpPool",
    "SmtpTemporary",
    "SmtpUnavailable",
    "SmtpWithheld",
    "parse_smtp_url",
]

DEFAULT_PORTS: dict[Tls, int] = {"implicit": 465, "required": 587, "opportunistic": 25, "none": 25}


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Seconds, but for the last."""

    connect: float = 10
    command: float = 30
    # From DATA on: servers look at the contents before they answer. What is given up then may
    # have arrived all the same.
    contents: float = 30
    # For one mail with everything; shorter than its lease in the outbox.
    send: float = 90
    # A connection that was idle for so long has to answer soon, or a new one is opened.
    unproven_after: float = 10
    proof: float = 3
    # Servers hang up on idle clients too, some of them within a minute.
    idle: float = 60
    quit: float = 2
    mails_per_connection: int = 100


_DEFAULT_LIMITS = SmtpLimits()


@cache
def _default_tls_context() -> ssl.SSLContext:
    """One for all pools: reading the machine's authorities takes 20 ms."""
    return ssl.create_default_context()


class SmtpPool:
    """Up to `size` connections to one mail server, opened when needed and used again."""

    def __init__(
        self,
        url: str,
        *,
        size: int,
        opportunistic_tls: bool = False,
        tls_context: ssl.SSLContext | None = None,
        limits: SmtpLimits = _DEFAULT_LIMITS,
    ) -> None:
        self._server = parse_smtp_url(url, opportunistic_tls=opportunistic_tls)
        self._tls_context = tls_context or _default_tls_context()
        self._limits = limits
        self._slots = asyncio.Semaphore(size)
        # The one used last is at the end, and is taken first.
        self._idle: list[SmtpSession] = []
        self._farewells: set[asyncio.Task[None]] = set()

    async def send(
        self,
        message: EmailMessage | bytes,
        *,
        sender: str,
        recipient: str,
        clearance: Clearance | None = None,
    ) -> str:
        """Hand over one mail; returns the server's answer, or raises an `SmtpError`."""
        delivery = Delivery(message, sender, recipient, clearance)
        try:
            async with asyncio.timeout(self._limits.send), self._slots:
                return await self._deliver(delivery)
        except TimeoutError:
            reason = f"{delivery.step}: too slow"
            if delivery.step == "CONNECT":
                raise SmtpUnavailable(reason) from None
            raise SmtpTemporary(reason, outcome_unknown=delivery.step == "DATA") from None

    async def close(self) -> None:
        """Take leave of the server; connections in use are left to their mails."""
        while self._idle:
            self._retire(self._idle.pop())
        await asyncio.gather(*self._farewells)

    async def _deliver(self, delivery: Delivery) -> str:
        session = await self._begin(delivery)
        try:
            return await session.complete(delivery, self._limits.contents)
        except SmtpError:
            await session.reset()
            raise
        finally:
            self._give_back(session)

    async def _begin(self, delivery: Delivery) -> SmtpSession:
        """Find or open a session that takes the sender, which proves that an idle one is alive."""
        limits = self._limits
        if session := self._take_idle():
            unproven = session.idle_for() >= limits.unproven_after
            with suppress(Unresponsive):
                return await _begun(session, delivery, limits.proof if unproven else limits.command)
            # The server hung up or was restarted; the other idle sessions are no better.
            while self._idle:
                self._idle.pop().close()
        delivery.step = "CONNECT"
        session = await open_session(
            self._server,
            tls_context=self._tls_context,
            connect_timeout=limits.connect,
            command_timeout=limits.command,
        )
        try:
            return await _begun(session, delivery, limits.command)
        except Unresponsive as error:
            raise SmtpUnavailable(str(error)) from None

    def _take_idle(self) -> SmtpSession | None:
        while self._idle and self._idle[0].idle_for() >= self._limits.idle:
            self._retire(self._idle.pop(0))
        while self._idle:
            session = self._idle.pop()
            if session.is_usable:
                return session
        return None

    def _give_back(self, session: SmtpSession) -> None:
        if not session.is_usable:
            session.close()
        elif session.mails >= self._limits.mails_per_connection:
            self._retire(session)
        else:
            self._idle.append(session)

    def _retire(self, session: SmtpSession) -> None:
        """Say QUIT without making the next mail wait for it."""
        task = asyncio.create_task(session.quit(self._limits.quit))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)


async def _begun(session: SmtpSession, delivery: Delivery, patience: float) -> SmtpSession:
    """The session once it has taken the sender; otherwise it is closed."""
    try:
        await session.begin(delivery, patience)
    except BaseException:
        session.close()
        raise
    return session


def parse_smtp_url(url: str, *, opportunistic_tls: bool = False) -> SmtpServer:
    """Read `smtp://user:password@host:587?starttls=require` or `smtps://…`, or raise `ValueError`.

    Plain smtp:// is for the loopback. Elsewhere it takes TLS where it is offered and goes in the
    clear where not, which only `opportunistic_tls` allows, for development.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/"):
        raise ValueError("write it as smtp://user:password@host:port or smtps://...")
    if parts.query not in {"", "starttls=require"}:
        raise ValueError("the only option is ?starttls=require")
    tls: Tls = "opportunistic"
    if parts.scheme == "smtps":
        tls = "implicit"
    elif parts.query:
        tls = "required"
    elif is_loopback(parts.hostname):
        tls = "none"
    elif not opportunistic_tls:
        raise ValueError("a mail server on another host needs smtps:// or ?starttls=require")
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return SmtpServer(parts.hostname, parts.port or DEFAULT_PORTS[tls], username, password, tls)
