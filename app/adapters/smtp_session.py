"""One SMTP session (RFC 5321), its steps driven one by one.

The step at which a fault strikes decides what it means: refused before the contents were sent is
not the same as unanswered after them, and a refused sender is our fault, not the recipient's.
"""

import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import parseaddr
from socket import gethostname
from typing import Literal

import aiosmtplib

Tls = Literal["implicit", "required", "opportunistic", "none"]
Step = Literal["WAIT", "CONNECT", "MAIL", "RCPT", "DATA"]
SERVICE_CLOSING = 421
PERMANENT_FROM = 500
MALFORMED = -1


class SmtpError(Exception):
    """A mail was not taken; the reason may name addresses."""

    def __init__(
        self, reason: str, *, outcome_unknown: bool = False, code: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        # The contents were sent and no answer came: the mail may be on its way all the same.
        self.outcome_unknown = outcome_unknown
        # What the server answered, if it did.
        self.code = code
        self.status = enhanced_status(reason) if code else None


class SmtpTemporary(SmtpError):
    """Not now; the same mail may pass later."""


class SmtpPermanent(SmtpError):
    """Never; trying this mail again is of no use."""


class SmtpUnavailable(SmtpError):
    """No mail passes: the server is down or does not accept us (TLS, log-in, sender)."""


class SmtpWithheld(SmtpError):
    """Nobody refused the mail: at the last moment it was not to be sent any more."""


class Unresponsive(Exception):
    """The session was over before the server knew of the mail, as happens to idle ones."""


# Asks, once the server has taken the sender, whether the contents may go; awaited before they do.
Clearance = Callable[[], Awaitable[bool]]
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


def enhanced_status(answer: str) -> str | None:
    """The enhanced status code of an answer (RFC 3463), such as "5.1.1"."""
    found = _STATUS.search(answer)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class SmtpServer:
    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: Tls


@dataclass(slots=True)
class Delivery:
    """One mail on its way, and the step that it has come to."""

    message: EmailMessage | bytes = field(repr=False)
    sender: str
    recipient: str
    clearance: Clearance | None = None
    step: Step = "WAIT"

    @property
    def needs_utf8(self) -> bool:
        """Addresses outside ASCII need a server that knows SMTPUTF8 (RFC 6531)."""
        return not f"{self.sender}{self.recipient}".isascii()

    @property
    def encoding(self) -> str:
        return "utf-8" if self.needs_utf8 else "ascii"

    def contents(self) -> bytes:
        if isinstance(self.message, bytes):
            return self.message
        return self.message.as_bytes(policy=SMTPUTF8 if self.needs_utf8 else SMTP)


class SmtpSession:
    """A logged-in connection that takes one mail after the other."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._used_at = time.monotonic()
        # True between two mails, when no command or answer is under way.
        self._is_clean = True
        self.mails = 0

    @property
    def is_usable(self) -> bool:
        return self._is_clean and self._client.is_connected

    def idle_for(self) -> float:
        """Seconds since the last mail."""
        return time.monotonic() - self._used_at

    async def begin(self, delivery: Delivery, patience: float) -> None:
        """Name the sender; `Unresponsive` when the server has hung up or is about to."""
        if not _is_plain(delivery.recipient):
            # aiosmtplib would look for an address in it, and might find another one.
            raise SmtpPermanent("not an address that SMTP can carry")
        if delivery.needs_utf8 and not self._client.supports_extension("smtputf8"):
            raise SmtpPermanent("the mail server takes no addresses outside ASCII (SMTPUTF8)")
        delivery.step = "MAIL"
        self._is_clean = False
        options = ["SMTPUTF8", "BODY=8BITMIME"] if delivery.needs_utf8 else []
        with _judged(delivery):
            await self._client.mail(
                delivery.sender, options=options, encoding=delivery.encoding, timeout=patience
            )

    async def complete(self, delivery: Delivery, patience: float) -> str:
        """Name the recipient and send the contents; returns the server's answer."""
        delivery.step = "RCPT"
        cleared = delivery.clearance() if delivery.clearance else None
        with _judged(delivery):
            await self._client.rcpt(delivery.recipient, encoding=delivery.encoding)
        if cleared is not None and not await cleared:
            raise SmtpWithheld("withheld")
        delivery.step = "DATA"
        with _judged(delivery):
            response = await self._client.data(delivery.contents(), timeout=patience)
        self._is_clean = True
        self._used_at = time.monotonic()
        self.mails += 1
        return f"{response.code} {response.message}"

    async def reset(self) -> None:
        """Make the session fit for the next mail after a refused one, if it can be."""
        with suppress(aiosmtplib.SMTPException, OSError):
            await self._client.rset()
            self._is_clean = True

    async def quit(self, patience: float) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):
            await self._client.quit(timeout=patience)
        self._client.close()

    def close(self) -> None:
        self._client.close()


async def open_session(
    server: SmtpServer,
    *,
    tls_context: ssl.SSLContext,
    connect_timeout: float,
    command_timeout: float,
) -> SmtpSession:
    """Connect, secure and log in, or raise `SmtpUnavailable`."""
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        local_hostname=_greeting_name(),
        timeout=command_timeout,
        use_tls=server.tls == "implicit",
        start_tls={"required": True, "opportunistic": None}.get(server.tls, False),
        tls_context=tls_context,
    )
    try:
        await client.connect(timeout=connect_timeout)
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
    except BaseException as error:
        client.close()
        if isinstance(error, (aiosmtplib.SMTPException, OSError)):
            code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
            raise SmtpUnavailable(f"CONNECT: {_describe(error)}", code=code) from None
        raise
    return SmtpSession(client)


def _greeting_name() -> str:
    """What EHLO says (RFC 5321, section 4.1.4): a full name, or else an address literal.

    Not `getfqdn`, which asks the DNS and can hang for seconds.
    """
    name = gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


_USUAL_ADDRESS = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")


def _is_plain(address: str) -> bool:
    return bool(_USUAL_ADDRESS.fullmatch(address)) or parseaddr(address) == ("", address)


@contextmanager
def _judged(delivery: Delivery) -> Iterator[None]:
    """Turn aiosmtplib's errors into ours, by the step and the code."""
    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        raise _verdict(delivery, error) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        reason = f"{delivery.step}: {_describe(error)}"
        if delivery.step == "MAIL":
            raise Unresponsive(reason) from None
        raise SmtpTemporary(reason, outcome_unknown=delivery.step == "DATA") from None


def _verdict(delivery: Delivery, error: aiosmtplib.SMTPResponseException) -> Exception:
    reason = f"{delivery.step}: {_describe(error)}"
    is_permanent = error.code >= PERMANENT_FROM
    if delivery.step == "MAIL" and error.code == SERVICE_CLOSING:
        return Unresponsive(reason)
    if delivery.step == "MAIL" and not delivery.needs_utf8:
        return SmtpUnavailable(reason, code=error.code)
    if is_permanent:
        return SmtpPermanent(reason, code=error.code)
    unknown = delivery.step == "DATA" and error.code == MALFORMED
    return SmtpTemporary(reason, outcome_unknown=unknown, code=None if unknown else error.code)


def _describe(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__
