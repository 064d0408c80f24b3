"""Takes mails that come back, by SMTP from anywhere or by LMTP from a mail server in front of us.

It relays nothing: it takes mails only for the recipients it is told to, and says 250 only once the
mail has been dealt with. Until then the other side keeps it, and brings it again.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override

log = structlog.get_logger(__name__)

# Reports have longer lines than the thousand bytes that RFC 5321 allows.
LINE_MAX_BYTES = 64 * 1024
COMMANDS_PER_CONNECTION = 1_000

Accepts = Callable[[str], bool]
TakeIn = Callable[[bytes, Sequence[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    message_bytes: int
    connections: int = 20
    # Seconds: for one command, or for the contents of one mail.
    command: float = 60
    # Seconds, until an address is tried again that another worker of this host listens on.
    rebind: float = 15


class BounceListener:
    """`listen` is smtp://host:port, or lmtp://…; `name` is what it greets with.

    `take_in` is given a mail and its envelope's recipients, all of which `accepts` has let pass.
    Whatever it raises is answered with 451.
    """

    def __init__(
        self, listen: str, *, name: str, accepts: Accepts, take_in: TakeIn, limits: ListenerLimits
    ) -> None:
        host, _, port = listen.rpartition("://")[2].rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._kind = _LmtpSession if listen.startswith("lmtp://") else _SmtpSession
        self._name = name
        self._handler = _Handler(accepts, take_in)
        self._limits = limits
        self._sessions: set[_SmtpSession] = set()
        # Where it listens now; a port of 0 is a free one.
        self.port: int | None = None

    async def run(self) -> None:
        """Listen until cancelled. Mails that are under way then will be brought again."""
        server = await self._bind()
        try:
            await server.serve_forever()
        finally:
            server.close()
            self.port = None
            for session in self._sessions.copy():
                session.hang_up()

    async def _bind(self) -> asyncio.Server:
        """Wait for the address: one worker of a host has it, and another takes it over."""
        loop = asyncio.get_running_loop()
        is_known = False
        while True:
            try:
                server = await loop.create_server(self._meet, *self._address)
            except OSError as error:
                if not is_known:
                    tell = log.info if error.errno == errno.EADDRINUSE else log.warning
                    host, port = self._address
                    tell("bounce_listener_waits", host=host, port=port, error=error.strerror)
                is_known = True
                await asyncio.sleep(self._limits.rebind)
            else:
                self.port = server.sockets[0].getsockname()[1]
                log.info("bounce_listener_ready", host=self._address[0], port=self.port)
                return server

    def _meet(self) -> asyncio.BaseProtocol:
        if len(self._sessions) >= self._limits.connections:
            return _Busy()
        session = self._kind(
            self._handler,
            hostname=self._name,
            ident="ready",
            data_size_limit=self._limits.message_bytes,
            enable_SMTPUTF8=True,
            timeout=self._limits.command,
            command_call_limit=COMMANDS_PER_CONNECTION,
            loop=asyncio.get_running_loop(),
        )
        self._sessions.add(session)
        session.when_lost = self._sessions.discard
        return session


class _Handler:
    def __init__(self, accepts: Accepts, take_in: TakeIn) -> None:
        self._accepts = accepts
        self._take_in = take_in

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        if not self._accepts(address):
            return "550 5.1.1 no such mailbox here"
        if envelope.rcpt_tos:
            # LMTP would want an answer for each of them.
            return "452 4.5.3 one recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  # the same
        raw = envelope.original_content or b""
        try:
            await self._take_in(raw, tuple(envelope.rcpt_tos))
        except Exception:  # noqa: BLE001  # aiosmtpd would answer with 500, and the mail be lost
            return "451 4.3.0 not now, try again later"
        return "250 2.0.0 taken"


class _SmtpSession(SMTP):
    line_length_limit = LINE_MAX_BYTES
    when_lost: Callable[["_SmtpSession"], None]

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self.when_lost(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        if self.transport is not None:
            # By name: uvloop's transports are of classes of their own.
            cast("asyncio.Transport", self.transport).abort()


class _LmtpSession(_SmtpSession, LMTP):
    pass


class _Busy(asyncio.Protocol):
    """Sends a client away that is one too many."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        with suppress(OSError):
            answer = b"421 4.3.2 too many connections, try again later\r\n"
            cast("asyncio.Transport", transport).write(answer)
        transport.close()
