"""An SMTP server on loopback that misbehaves as it is told, one answer at a time."""

import asyncio
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Literal, Self

# Instead of an answer: hang up, say nothing for as long as the client waits, or give the usual one
# only once the test has set `let_go`.
DROP = "drop"
STALL = "stall"
HOLD = "hold"
Step = Literal["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "DOT", "RSET", "QUIT"]
ANSWERS: dict[str, str] = {
    "CONNECT": "220 scripted.test ESMTP",
    "STARTTLS": "220 2.0.0 ready",
    "AUTH": "235 2.7.0 ok",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "DOT": "250 2.0.0 taken",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}


class _HangUp(Exception):
    pass


@dataclass
class Taken:
    """A mail that was answered with 250, or whose answer was withheld."""

    sender: str
    recipient: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=default)
        assert isinstance(message, EmailMessage)
        return message


@dataclass
class ScriptedSmtp:
    """`script("RCPT", "450 later")` answers so once; without a script every mail is taken."""

    port: int = 0
    extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8")
    tls_context: ssl.SSLContext | None = None
    # Seconds before each answer of a step.
    delays: dict[str, float] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    # Set once a scripted fault has struck.
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _scripts: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    _server: asyncio.Server | None = None
    _clients: set[asyncio.Task[None]] = field(default_factory=set)

    def script(self, step: Step, *answers: str) -> None:
        self._scripts[step].extend(answers)

    def relent(self) -> None:
        """Forget what was scripted and has not struck."""
        self._scripts.clear()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def start(self, *, implicit_tls: bool = False) -> Self:
        """Listen; once stopped, a second start takes the same port again."""
        context = self.tls_context if implicit_tls else None
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Stopped for as long as the block runs; nobody else is given the port meanwhile."""
        await self.stop()
        with socket.socket() as place:  # in which nobody listens
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(("127.0.0.1", self.port))
            yield
            await self.start()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def has_taken(self, count: int) -> None:
        """Wait for so many mails."""
        async with self._news, asyncio.timeout(60):
            await self._news.wait_for(lambda: len(self.taken) >= count)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        client = asyncio.current_task()
        assert client is not None
        self._clients.add(client)
        try:
            with suppress(_HangUp, ConnectionError, EOFError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._clients.discard(client)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer(writer, "CONNECT")
        sender = recipient = ""
        while line := (await reader.readline()).decode().strip():
            self.commands.append(line)
            verb, _, argument = line.partition(" ")
            if verb == "EHLO":
                await self._greet(writer)
            elif verb == "MAIL" and await self._answer(writer, verb):
                sender = argument[6:].partition(">")[0]
            elif verb == "RCPT" and await self._answer(writer, verb):
                recipient = argument[4:].partition(">")[0]
            elif verb == "DATA" and await self._answer(writer, verb):
                raw = await reader.readuntil(b"\r\n.\r\n")
                mail = Taken(sender, recipient, raw[:-3].replace(b"\r\n..", b"\r\n."))
                await self._take(writer, mail)
            elif verb in {"AUTH", "RSET", "QUIT"}:
                await self._answer(writer, verb)
            elif verb == "STARTTLS" and await self._answer(writer, verb):
                assert self.tls_context is not None
                await writer.start_tls(self.tls_context)

    async def _greet(self, writer: asyncio.StreamWriter) -> None:
        is_secure = writer.get_extra_info("sslcontext") is not None
        offers = ["STARTTLS"] if self.tls_context is not None and not is_secure else []
        *lines, last = ["scripted.test", *self.extensions, *offers]
        await self._answer(
            writer, "EHLO", "".join(f"250-{line}\r\n" for line in lines) + f"250 {last}"
        )

    async def _take(self, writer: asyncio.StreamWriter, mail: Taken) -> None:
        script = self._scripts["DOT"]
        if not script or script[0][0] not in "45":
            async with self._news:
                self.taken.append(mail)
                self._news.notify_all()
        await self._answer(writer, "DOT")

    async def _answer(self, writer: asyncio.StreamWriter, step: str, usual: str = "") -> bool:
        """Answer as scripted; returns whether the client may go on."""
        answer = usual or ANSWERS[step]
        if self._scripts[step]:
            answer = self._scripts[step].popleft()
            self.struck.set()
        await asyncio.sleep(self.delays.get(step, 0))
        if answer == DROP:
            raise _HangUp
        if answer == STALL:
            await asyncio.sleep(3600)
        if answer == HOLD:
            await self.let_go.wait()
            answer = usual or ANSWERS[step]
        writer.write(f"{answer}\r\n".encode())
        await writer.drain()
        return answer[0] in "23"
