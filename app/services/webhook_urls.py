"""Where webhooks may go: the public internet, by HTTPS, and never this installation's own network.

An address is checked twice, when an endpoint is saved and with what its name leads to whenever a
connection is made: a name may lead elsewhere by then (OWASP, SSRF prevention; DNS rebinding).
"""

import ipaddress
import re
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

import idna

from app.errors import InvalidInput

URL_MAX_LENGTH = 2_000
HTTP_PORT, HTTPS_PORT = 80, 443
_HOST_MAX_LENGTH = 253

# IANA's registries of special-purpose addresses, and what Python's own list of some releases lacks:
# relays (6to4), metadata services of clouds, and unicast that only looks global.
_REFUSED_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's agent, at a public address
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
# What an IPv6-only network makes of an IPv4 address (RFC 6052); the last 32 bits are that address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED_V6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # Teredo among them, which holds an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4, which holds one too
            "3fff::/20",
        ),
    )
)
# Names that lead nowhere in public, or to what runs beside us.
_LOCAL_SUFFIXES = (
    ".localhost",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home.arpa",
    ".in-addr.arpa",
    ".ip6.arpa",
    ".onion",
)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# Where the last label begins like a number, programs may read the name as an IPv4 address: in
# decimal, octal or hexadecimal, in one to four parts (WHATWG URL, section 3.5).
_NUMERIC_END = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")


class WebhookUrlRefused(InvalidInput):
    code, title = "webhook_url_refused", "Webhooks can't be sent to this URL"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: global unicast and nothing special."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not any(ip in network for network in _REFUSED_V4)
    if ip.scope_id is not None:
        return False
    if ip in _NAT64:
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip in _UNICAST_V6 and ip.is_global and not any(ip in each for each in _REFUSED_V6)


def is_allowed(address: str, *, loopback: bool) -> bool:
    """Whether a connection may be made; `loopback` as well where this is development."""
    return is_public(address) or (loopback and _is_loopback(address))


def checked(url: str, *, loopback: bool) -> str:
    """The URL in its one form, or `WebhookUrlRefused` with what is wrong with it.

    Everything that programs read differently is refused rather than interpreted.
    """
    parts, port = _parsed(url)
    host = _checked_host(parts.hostname or "", loopback=loopback)
    if loopback and _is_loopback(host):
        if parts.scheme not in {"http", "https"}:
            _refuse("url_not_https", "It must begin with https:// or http://")
    elif parts.scheme != "https":
        _refuse("url_not_https", "It must begin with https://")
    elif port not in {None, HTTPS_PORT}:
        _refuse("url_port", "The port must be 443")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii():
        _refuse("url_invalid", "Path and query must be percent-encoded")
    shown = f"[{host}]" if ":" in host else host
    usual_port = HTTPS_PORT if parts.scheme == "https" else HTTP_PORT
    place = shown if port in {None, usual_port} else f"{shown}:{port}"
    return f"{parts.scheme}://{place}{target}"


def _parsed(url: str) -> tuple[SplitResult, int | None]:
    """The parts of a URL that has none which mislead, and its port."""
    if len(url) > URL_MAX_LENGTH:
        _refuse("url_too_long", f"It has more than {URL_MAX_LENGTH:,} characters")
    if re.search(r"[\x00-\x20\x7f\\]", url):
        _refuse("url_invalid", "It holds a space, a control character or a backslash")
    if "#" in url:
        _refuse("url_has_fragment", "A fragment is never sent")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        _refuse("url_invalid", "It is not a URL")
    if "@" in parts.netloc:
        _refuse("url_has_credentials", "User and password have no place in it")
    if ("[" in parts.netloc) != (":" in (parts.hostname or "")):
        _refuse("url_invalid", "Only an IPv6 address stands in brackets")
    return parts, port


def _checked_host(host: str, *, loopback: bool) -> str:
    """A name or an address in its canonical form."""
    if ":" in host:
        return _checked_address(host, loopback=loopback)
    name = _ascii(host).removesuffix(".")
    if len(name) > _HOST_MAX_LENGTH or not _NAME.fullmatch(name):
        _refuse("url_invalid", "It names no host")
    if _NUMERIC_END.fullmatch(name):
        return _checked_address(name, loopback=loopback)
    if loopback and name == "localhost":
        return name
    if "." not in name or name.endswith(_LOCAL_SUFFIXES):
        _refuse("address_not_public", "The host is not one of the public internet")
    return name


def _checked_address(text: str, *, loopback: bool) -> str:
    """An IP address in its usual spelling; in any other it is none."""
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError:
        _refuse("url_invalid", "An IP address must be written in its usual form")
    if not is_allowed(address, loopback=loopback):
        _refuse("address_not_public", "The host is not one of the public internet")
    return address


def _ascii(host: str) -> str:
    """The name in ASCII (IDNA 2008); full-width digits and dots become ordinary ones by that."""
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode().lower()
    except idna.IDNAError:
        _refuse("url_invalid", "It names no host")


def _is_loopback(host: str) -> bool:
    """127.0.0.1 and its like, ::1, and the name for both."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(code: str, message: str) -> NoReturn:
    raise WebhookUrlRefused(errors=[{"pointer": "/url", "code": code, "message": message}])
