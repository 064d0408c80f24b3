from ipaddress import ip_network
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.http.client_address import (
    ClientAddressMiddleware,
    TrustedProxies,
    client_network,
    log_network,
)
from tests.http_asgi import http_scope, messages_of

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]


async def seen_behind(peer: str, *headers: tuple[str, str]) -> dict[str, Any]:
    """The scope that the application sees for a request from `peer`."""
    seen: dict[str, Any] = {}

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.update(scope)

    middleware = ClientAddressMiddleware(app, proxies=TrustedProxies(TRUSTED))
    await messages_of(middleware, http_scope(headers=headers, client=(peer, 4711)))
    return seen


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 10.0.0.2,10.0.0.3"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:1234"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:1234"], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8:0:0::7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.5"], "10.0.0.5"),
        ("10.0.0.1", ["<script>"], "10.0.0.1"),
        ("10.0.0.1", ["<script>, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["fe80::1%<script>"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("2001:db8:1::5", ["198.51.100.7"], "198.51.100.7"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
    ],
)
async def test_client_is_the_first_hop_that_is_not_ours(
    peer: str, forwarded: list[str], client: str
) -> None:
    scope = await seen_behind(peer, *(("x-forwarded-for", value) for value in forwarded))
    assert scope["client"][0] == client


async def test_port_of_a_client_behind_a_proxy_is_unknown() -> None:
    scope = await seen_behind("10.0.0.1", ("x-forwarded-for", "198.51.100.7:1234"))
    assert scope["client"] == ("198.51.100.7", 0)
    assert (await seen_behind("192.0.2.1"))["client"] == ("192.0.2.1", 4711)


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, https", "https"),
        ("10.0.0.1", "javascript", "http"),
        ("192.0.2.1", "https", "http"),
    ],
)
async def test_scheme_comes_from_trusted_proxies_only(peer: str, proto: str, scheme: str) -> None:
    scope = await seen_behind(peer, ("x-forwarded-proto", proto))
    assert scope["scheme"] == scheme


async def test_other_forwarding_headers_are_ignored() -> None:
    scope = await seen_behind(
        "10.0.0.1",
        ("x-forwarded-host", "evil.example"),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-real-ip", "1.1.1.1"),
    )
    assert (scope["client"][0], scope["path"], scope["method"]) == ("10.0.0.1", "/", "GET")


async def test_forged_chain_costs_at_most_twenty_hops() -> None:
    hops = ",".join(f"10.0.0.{number}" for number in range(100))
    scope = await seen_behind("10.0.0.1", ("x-forwarded-for", f"198.51.100.7,{hops}"))
    assert scope["client"][0] == "10.0.0.80"


async def test_unix_socket_has_no_address_to_correct() -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        assert scope["client"] is None

    middleware = ClientAddressMiddleware(app, proxies=TrustedProxies(TRUSTED))
    headers = [("x-forwarded-for", "1.1.1.1")]
    await messages_of(middleware, http_scope(headers=headers, client=None))


@pytest.mark.parametrize(
    ("address", "limited", "logged"),
    [
        ("198.51.100.7", "198.51.100.7/32", "198.51.100.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::ffff:198.51.100.7", "198.51.100.7/32", "198.51.100.0/24"),
        ("fe80::1%eth0", "unknown", "unknown"),
        ("testclient", "unknown", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_networks_of_an_address(address: str, limited: str, logged: str) -> None:
    assert client_network(address) == limited
    assert log_network(address) == logged
