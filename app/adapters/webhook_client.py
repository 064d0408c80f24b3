"""Posts webhooks to addresses that strangers chose: only where it may, and never for long."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.typedefs import StrOrURL
from typing_extensions import override
from yarl import URL

# Seconds, for all of an exchange and for all that comes before the first byte of it.
TOTAL_TIMEOUT = 15.0
CONNECT_TIMEOUT = 5.0
ANSWER_MAX_BYTES = 64 * 1024
# Seconds: less than after what common servers close an idle connection, or they would close it
# just when it is used again.
KEEP_IDLE = 4.0
# Names are looked up by threads, which wait for as long as a name server likes.
LOOKUP_THREADS = 32
# Seconds for which the checked addresses of a name are remembered.
LOOKUP_TTL = 30

ErrorCode = Literal[
    "address_refused",
    "name_not_resolved",
    "connection_failed",
    "tls_failed",
    "timed_out",
    "invalid_answer",
]
IsAllowed = Callable[[str], bool]


class WebhookError(Exception):
    """There was no answer; `code` says why in one word."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code)
        self.code: ErrorCode = code


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    status: int
    retry_after: str | None
    # At most 64 KiB.
    body: bytes


class _AddressRefused(OSError):
    """Not a public address, so no connection is made to it."""


class WebhookClient:
    """Connections that are kept and shared; `is_allowed` judges each IP address.

    Every address is judged twice: what a name was resolved to, and each socket's own destination.
    So also a URL with an address for its host meets the check, and nothing is resolved in between.
    """

    def __init__(
        self,
        is_allowed: IsAllowed,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        total_timeout: float = TOTAL_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self._resolver = _CheckedResolver(resolver or _ThreadedResolver(), is_allowed)
        connector = aiohttp.TCPConnector(
            limit=0,  # whoever calls limits itself
            resolver=self._resolver,
            ttl_dns_cache=LOOKUP_TTL,
            keepalive_timeout=KEEP_IDLE,
            socket_factory=_checking_sockets(is_allowed),
            ssl=tls or True,  # names and certificates checked, by the system's trust store
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            # `connect` counts the look-up of the name too, `sock_connect` the handshake of TLS.
            timeout=aiohttp.ClientTimeout(
                total=total_timeout, connect=connect_timeout, sock_connect=connect_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": "MultimediaAccount-Webhooks/1", "Accept-Encoding": "identity"},
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookAnswer:
        """Send one message; raises `WebhookError` where no answer comes."""
        try:
            return await self._post(URL(url, encoded=True), body, headers)
        except TimeoutError:
            raise WebhookError("timed_out") from None
        except aiohttp.ClientSSLError:
            raise WebhookError("tls_failed") from None
        except aiohttp.ClientConnectorError as error:
            raise WebhookError(_connection_code(error)) from None
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError):
            raise WebhookError("invalid_answer") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise WebhookError("connection_failed") from None

    async def _post(self, url: StrOrURL, body: bytes, headers: Mapping[str, str]) -> WebhookAnswer:
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            read = bytearray()
            while len(read) < ANSWER_MAX_BYTES:
                piece = await answer.content.read(ANSWER_MAX_BYTES - len(read))
                if not piece:
                    break
                read += piece
            if not answer.content.at_eof():
                answer.close()  # of a longer answer, the rest is not waited for
            return WebhookAnswer(answer.status, answer.headers.get("Retry-After"), bytes(read))

    async def close(self) -> None:
        await self._session.close()
        await self._resolver.close()


class _CheckedResolver(AbstractResolver):
    """Gives the addresses of a name if they are allowed, all of them."""

    def __init__(self, resolver: AbstractResolver, is_allowed: IsAllowed) -> None:
        self._resolver = resolver
        self._is_allowed = is_allowed

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._is_allowed(result["host"]) for result in found):
            raise _AddressRefused
        return found

    @override
    async def close(self) -> None:
        await self._resolver.close()


class _ThreadedResolver(AbstractResolver):
    """The system's resolver in threads of its own, so that a slow name holds up no other part."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="webhook-names")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, _look_up, host, port, family
        )

    @override
    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    flags = socket.AI_ADDRCONFIG
    infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in infos
    ]


def _checking_sockets(
    is_allowed: IsAllowed,
) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    def make(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, destination = info
        if not is_allowed(str(destination[0])):
            raise _AddressRefused
        return socket.socket(family, kind, protocol)

    return make


def _connection_code(error: aiohttp.ClientConnectorError) -> ErrorCode:
    if isinstance(error.os_error, _AddressRefused):
        return "address_refused"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "name_not_resolved"
    return "connection_failed"
