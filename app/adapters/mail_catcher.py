"""The mail server of development: real SMTP on loopback, each mail a file in one folder.

Files, so that every process of the API can read them. The envelope's recipient stands in a header
of its own in front of the mail, as JSON, since the mail's own headers may be missing or broken.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Literal
from uuid import UUID

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override
from uuid_utils.compat import uuid7

MAILS_KEPT = 500
SIZE_LIMIT = 10 * 1024 * 1024
_RECIPIENT_HEADER = "X-Caught-For"


@dataclass(frozen=True, slots=True)
class CaughtMail:
    id: str
    to: str
    subject: str
    text: str | None
    html: str | None
    headers: dict[str, str]
    received_at: datetime


class MailCatcher:
    """Takes every mail, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._controller: _AnyPortController | None = None

    def start(self, port: int = 0) -> str:
        """Listen on 127.0.0.1, by default on a free port; returns the URL for SMTP_URL."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the mails hold codes
        self._controller = _AnyPortController(
            _Handler(self._folder),
            hostname="127.0.0.1",
            port=port,
            data_size_limit=SIZE_LIMIT,
            # Otherwise it asks the DNS for our name at each connection.
            server_hostname="localhost",
        )
        self._controller.start()
        return f"smtp://127.0.0.1:{self._controller.port}"

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


def read_mails(folder: Path, to: str | None = None) -> list[CaughtMail]:
    """The caught mails, newest first; blocking, so call it in a thread."""
    mails = (_read(path, to) for path in _files(folder))
    return [mail for mail in mails if mail is not None]


class _AnyPortController(Controller):
    """Learns its port from the socket, where aiosmtpd would knock at port 0."""

    @override
    def _trigger_server(self) -> None:
        server = self.server
        assert server is not None  # noqa: S101  # listens by now
        assert hasattr(server, "sockets")  # noqa: S101  # as those of all loops have
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd's own


class _Handler:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        contents = envelope.content or b""
        raw = contents if isinstance(contents, bytes) else contents.encode()
        try:
            for recipient in envelope.rcpt_tos:
                _store(self._folder, recipient, raw)
        except OSError as error:
            return f"452 4.3.1 not stored: {error.strerror}"
        return "250 2.0.0 caught"


def _store(folder: Path, recipient: str, raw: bytes) -> None:
    """Write one recipient's copy, whole or not at all, and let go of the oldest mails."""
    name = str(uuid7())
    draft = folder / f".{name}"
    draft.write_bytes(f"{_RECIPIENT_HEADER}: {json.dumps(recipient)}\r\n".encode() + raw)
    draft.rename(folder / f"{name}.eml")
    for path in _files(folder)[MAILS_KEPT:]:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """Newest first: their names are UUIDv7."""
    return sorted(folder.glob("*.eml"), reverse=True)


def _read(path: Path, to: str | None) -> CaughtMail | None:
    """One mail, or None when it is for somebody else, not ours, or was just let go of."""
    try:
        envelope, _, raw = path.read_bytes().partition(b"\r\n")
        recipient = str(json.loads(envelope.partition(b": ")[2]))
        received_at = _time_of(UUID(path.stem))
    except (FileNotFoundError, ValueError):
        return None
    if to is not None and recipient.casefold() != to.casefold():
        return None
    message = message_from_bytes(raw, policy=default)
    headers = _headers(message)
    subject = next((value for name, value in headers.items() if name.lower() == "subject"), "")
    return CaughtMail(
        id=path.stem,
        to=recipient,
        subject=subject,
        text=_body(message, "plain"),
        html=_body(message, "html"),
        headers=headers,
        received_at=received_at,
    )


def _time_of(uuid7_name: UUID) -> datetime:
    """The first 48 bits are milliseconds since 1970 (RFC 9562, section 5.7)."""
    return datetime.fromtimestamp((uuid7_name.int >> 80) / 1000, UTC)


def _headers(message: EmailMessage) -> dict[str, str]:
    """All headers decoded, those that come more than once on lines of one value."""
    headers: dict[str, str] = {}
    for name, raw in message.raw_items():
        value = _printable(str(raw))
        if value == raw:
            # The parser stumbles over some broken headers, each in its own way.
            with suppress(Exception):
                value = _printable(str(message.policy.header_fetch_parse(name, raw)))
        headers[name] = f"{headers[name]}\n{value}" if name in headers else value
    return headers


def _body(message: EmailMessage, subtype: Literal["plain", "html"]) -> str | None:
    try:
        part = message.get_body((subtype,))
        return None if part is None else _printable(part.get_content()).replace("\r\n", "\n")
    except Exception:  # noqa: BLE001  # unknown charsets, broken encodings: the parser's own variety
        payload = message.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else None


def _printable(text: str) -> str:
    """Bytes that the parser could not decode are read as UTF-8, which SMTPUTF8 allows."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
