"""Signatures by which mailboxes know that a mail is from our domain (DKIM, RFC 6376).

Made for bulk: a mail's body is hashed once, however many keys there are. It is signed as it is
("simple"), since the tolerant form would take longer than everything else. Nothing is lost by
that: our bodies are quoted-printable, and have no white space that servers might tidy up.
"""

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from app.crypto.mail_keys import MailKey, load_mail_key
from app.settings import Settings

_LINE = b"\r\n"
_BEGINNING_OF_PEM = "-----BEGIN"
_SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]*[A-Za-z0-9])*")

# In the order of h=. Named once more than they occur, so that none can be put in front of them:
# mailboxes show the first, verifiers check the last.
_SHOWN = (b"from", b"to", b"cc", b"reply-to", b"subject", b"date")
_SIGNED = (
    *_SHOWN,
    b"message-id",
    b"mime-version",
    b"content-type",
    b"content-language",
    # RFC 8058, section 3: without these two under a signature there is no one-click button.
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-id",
    b"list-archive",
    b"feedback-id",
    b"precedence",
    b"auto-submitted",
)


class DkimSigner:
    """Signs for the domain of each mail's From header, with every key it is given.

    `keys` are PEM texts or paths of PEM files; `selectors` say under which names of the DNS
    mailboxes find their public halves. Raises `ValueError` for what can't be used.
    """

    def __init__(
        self,
        keys: Sequence[str],
        selectors: Sequence[str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len(keys) != len(selectors):
            raise ValueError("name one selector for each key")
        self._keys = [
            (_load(number, key), _checked(selector))
            for number, (key, selector) in enumerate(zip(keys, selectors, strict=True), start=1)
        ]
        self._clock = clock

    def sign(self, message: bytes) -> bytes:
        """The message with a signature for each key in front.

        Its lines end with CRLF, and it must leave as it is. Raises `ValueError` when its From
        header names no domain.
        """
        end_of_head = message.find(_LINE * 2)
        if end_of_head < 0:
            end_of_head = len(message)
        headers = _by_name(message[:end_of_head])
        lines = [line for name in _SIGNED for line in reversed(headers.get(name, ()))]
        fixed = b"d=%s; t=%d;\r\n\th=%s;\r\n\tbh=%s;" % (
            _domain(headers.get(b"from", [b""])[-1]),
            self._clock(),
            _folded_names(tuple(line.partition(b":")[0] for line in lines)),
            b64encode(_body_hash(message, end_of_head + 2 * len(_LINE))),
        )
        signed = _LINE.join([*lines, b""])
        return b"".join([*(_field(key, name, fixed, signed) for key, name in self._keys), message])


def open_signer(settings: Settings) -> DkimSigner | None:
    """The signer of DKIM_KEY and DKIM_SELECTOR, or `ValueError`; None where neither is set."""
    if not settings.dkim_key and not settings.dkim_selector:
        return None
    keys = [key.get_secret_value() for key in settings.dkim_key]
    return DkimSigner(keys, settings.dkim_selector)


def _load(number: int, key: str) -> MailKey:
    """From PEM, in which an environment file may have written line breaks as backslash and n."""
    if key.startswith(_BEGINNING_OF_PEM):
        name, pem = f"key {number}", key.replace("\\n", "\n").encode()
    else:
        name = key
        try:
            pem = Path(key).read_bytes()
        except OSError as error:
            raise ValueError(f"{name}: {error.strerror}") from None
        except ValueError:
            raise ValueError(f"key {number}: neither PEM nor the path of a file") from None
    try:
        return load_mail_key(pem)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _checked(selector: str) -> bytes:
    if not _SELECTOR.fullmatch(selector):
        raise ValueError(f"{selector!r} is not a selector such as 2026a")
    return selector.encode()


_WHITE_SPACE = re.compile(rb"[ \t]{2,}|\t")


def _by_name(head: bytes) -> dict[bytes, list[bytes]]:
    """The header lines in their relaxed form (RFC 6376, section 3.4.2), topmost first."""
    unfolded = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    headers: dict[bytes, list[bytes]] = {}
    for line in _WHITE_SPACE.sub(b" ", unfolded).split(_LINE):
        name, _, value = line.partition(b":")
        name = name.strip(b" ").lower()
        headers.setdefault(name, []).append(name + b":" + value.strip(b" "))
    return headers


@lru_cache(maxsize=16)
def _domain(from_line: bytes) -> bytes:
    """Of the address with which a From header ends, in ASCII."""
    domain = from_line.rpartition(b"@")[2].rstrip(b"> ").lower()
    if not domain or b":" in domain:
        raise ValueError("the From header names no domain")
    return domain.decode().encode("idna")


@lru_cache(maxsize=64)
def _folded_names(present: tuple[bytes, ...]) -> bytes:
    """What h= says: a field that is named more often than it occurs can't be added later."""
    names = list(_with_shown_once_more(present))
    lines = [b":".join(names[start : start + 5]) for start in range(0, len(names), 5)]
    return b":\r\n\t".join(lines)


def _with_shown_once_more(present: Iterable[bytes]) -> Iterable[bytes]:
    yield from present
    yield from _SHOWN


def _body_hash(message: bytes, start: int) -> bytes:
    """Of the body as it is, but with one line end at its end (RFC 6376, section 3.4.3)."""
    end = len(message)
    while message.endswith(_LINE, start, end):
        end -= len(_LINE)
    body = sha256(memoryview(message)[start:end])
    body.update(_LINE)
    return body.digest()


def _field(key: MailKey, selector: bytes, fixed: bytes, signed: bytes) -> bytes:
    """One signature, over the other headers and then itself without its value."""
    algorithm = key.algorithm.encode()
    value = b"v=1; a=%s; c=relaxed/simple; s=%s;\r\n\t%s\r\n\tb=" % (algorithm, selector, fixed)
    relaxed = b"dkim-signature:" + value.replace(b"\r\n\t", b" ")
    signature = b64encode(key.sign(signed + relaxed))
    folded = b"\r\n\t ".join(signature[at : at + 70] for at in range(0, len(signature), 70))
    return b"DKIM-Signature: " + value + folded + _LINE
