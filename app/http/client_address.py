"""Who is calling: the client's address behind proxies that we trust, and its network."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import islice

from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.headers import RawHeaders, request_fields

# Bytes of X-Forwarded-For.
_REMEMBERED = 100

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# No honest chain of proxies is longer; a forged one must not cost us more than this.
MAX_HOPS = 20


class TrustedProxies:
    """Believes X-Forwarded-For and X-Forwarded-Proto only when a trusted proxy sent them."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._trusted = tuple(networks)
        self._is_trusted = lru_cache(maxsize=8192)(self._is_trusted_uncached)
        self._client_behind = lru_cache(maxsize=8192)(self._client_behind_uncached)

    def correct(self, scope: Scope) -> None:
        """Write the true client and scheme into the scope."""
        if self._trusted and scope.get("client"):
            peer = parse_address(scope["client"][0])
            if peer is not None and self._is_trusted(peer):
                self._correct(scope, peer)

    def _correct(self, scope: Scope, peer: Address) -> None:
        fields = request_fields(scope)
        if b"x-forwarded-for" in fields:
            lines = _forwarded_for(scope["headers"])
            # What a client makes longer than that is not worth the memory.
            is_short = sum(map(len, lines)) <= _REMEMBERED
            find = self._client_behind if is_short else self._client_behind_uncached
            scope["client"] = (find(peer, lines), 0)  # the client's own port is not forwarded
        scheme = fields.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip()
        if scheme in {b"http", b"https"}:
            scope["scheme"] = scheme.decode()

    def _client_behind_uncached(self, peer: Address, lines: tuple[bytes, ...]) -> str:
        """The first hop from the right that is not one of our proxies.

        Each proxy appends the address it saw, so only what a trusted one appended is true:
        everything further left was sent by the client and may say anything.
        """
        client = peer
        for hop in islice(_from_the_right(lines), MAX_HOPS):
            address = parse_address(hop)
            if address is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return str(client)

    def _is_trusted_uncached(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


class ClientAddressMiddleware:
    """Lets everything inside see the true client."""

    def __init__(self, app: ASGIApp, *, proxies: TrustedProxies) -> None:
        self.app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._proxies.correct(scope)
        await self.app(scope, receive, send)


def _forwarded_for(headers: RawHeaders) -> tuple[bytes, ...]:
    return tuple([value for name, value in headers if name == b"x-forwarded-for"])


def _from_the_right(lines: Sequence[bytes]) -> Iterator[str]:
    """The members of all X-Forwarded-For lines, which are one list (RFC 9110, 5.3), last first."""
    for line in reversed(lines):
        rest = line.decode("latin-1")
        while rest:
            rest, _, member = rest.rpartition(",")
            yield member.strip()


@lru_cache(maxsize=8192)
def parse_address(text: str) -> Address | None:
    """An address, also as `1.2.3.4:567` or `[2001:db8::1]:567`; None for anything else.

    IPv4-mapped IPv6 becomes IPv4. Zone ids are refused: ipaddress takes any text as one.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address


def client_network(address: str) -> str:
    """The network that limits count: an IPv4 address alone, an IPv6 /64 (one household)."""
    return _network(address, 32, 64)


def log_network(address: str) -> str:
    """The network that logs may keep: /24 or /48, which names no single person."""
    return _network(address, 24, 48)


@lru_cache(maxsize=8192)
def _network(text: str, ipv4_prefix: int, ipv6_prefix: int) -> str:
    address = parse_address(text)
    if address is None:  # a unix socket, or a test client with a name
        return "unknown"
    prefix = ipv4_prefix if address.version == 4 else ipv6_prefix  # noqa: PLR2004  # IPv4
    return str(ip_network((address, prefix), strict=False))
