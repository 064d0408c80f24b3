"""The client that posts webhooks: where it connects, what it puts up with, and for how long."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from app.adapters.webhook_client import WebhookAnswer, WebhookClient, WebhookError
from app.services import webhook_urls
from tests.webhook_sink import Sink, client, receiving

BODY = b'{"type":"webhook.test"}'
METADATA = "169.254.169.254"


class Names(AbstractResolver):
    """A name server whose answers a test chooses, beneath the check of the client."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    @override
    async def close(self) -> None:
        pass


async def post(poster: WebhookClient, url: str) -> WebhookAnswer:
    return await poster.post(url, BODY, {"Content-Type": "application/json"})


async def failure(poster: WebhookClient, url: str) -> str:
    with pytest.raises(WebhookError) as failed:
        await post(poster, url)
    return failed.value.code


@asynccontextmanager
async def open_client(**options: object) -> AsyncIterator[WebhookClient]:
    poster = client(**options)  # type: ignore[arg-type]  # as the tests give them
    try:
        yield poster
    finally:
        await poster.close()


@pytest.fixture
async def poster() -> AsyncIterator[WebhookClient]:
    async with open_client() as poster:
        yield poster


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with receiving() as sink:
        yield sink


async def test_message_arrives_as_it_was_signed(poster: WebhookClient, sink: Sink) -> None:
    answer = await poster.post(sink.url + "?a=%2Fb&c", BODY, {"webhook-id": "msg_1"})
    assert (answer.status, answer.body, answer.retry_after) == (200, b"", None)
    [got] = sink.received
    assert got.body == BODY
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["accept-encoding"] == "identity"
    assert "cookie" not in got.headers


# Where it connects


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.255.255.1", METADATA, "[::1]", "[::ffff:127.0.0.1]", "[fd00::1]"]
)
async def test_address_in_a_url_is_checked_when_it_connects(sink: Sink, host: str) -> None:
    """Although no name is looked up: what was saved in development may be met in production."""
    port = sink.url.split(":")[2]
    async with open_client(loopback=False) as poster:
        assert await failure(poster, f"http://{host}:{port}") == "address_refused"
    assert not sink.received


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_other_spellings_of_an_address_lead_nowhere(sink: Sink, host: str) -> None:
    """Whether the client refuses them itself, or the system's resolver takes them for addresses."""
    port = sink.url.split(":")[2]
    async with open_client(loopback=False) as poster:
        code = await failure(poster, f"http://{host}:{port}")
    assert code in {"connection_failed", "address_refused"}
    assert not sink.received


@pytest.mark.parametrize(
    "addresses",
    [[METADATA], ["10.0.0.7"], ["8.8.8.8", "10.0.0.7"], ["fd00::1"], ["64:ff9b::a00:7"]],
)
async def test_name_that_leads_to_a_private_address_is_refused(addresses: list[str]) -> None:
    names = Names(addresses)
    async with open_client(resolver=names) as poster:
        assert await failure(poster, "https://hooks.example/") == "address_refused"
    assert names.asked == ["hooks.example"]


async def test_name_that_leads_elsewhere_after_it_was_saved_is_refused(sink: Sink) -> None:
    """Public when it was checked, the metadata service when it is used (DNS rebinding)."""
    url = webhook_urls.checked("https://hooks.example/", loopback=False)
    names = Names([METADATA])
    async with open_client(resolver=names) as poster:
        assert await failure(poster, url) == "address_refused"
    assert not sink.received


async def test_what_was_checked_is_what_is_connected_to(sink: Sink) -> None:
    """A name is looked up once for a connection: the answer that comes next is never used."""
    port = sink.url.split(":")[2].removesuffix("/hooks")
    names = Names(["127.0.0.1"], [METADATA])
    async with open_client(resolver=names) as poster:
        assert (await post(poster, f"http://hooks.example:{port}")).status == 200
        assert (await post(poster, f"http://hooks.example:{port}")).status == 200
    assert names.asked == ["hooks.example"]
    assert [got.headers["host"] for got in sink.received] == [f"hooks.example:{port}"] * 2


async def test_redirection_is_not_followed(poster: WebhookClient, sink: Sink) -> None:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"http://{METADATA}/latest/"})

    sink.behave = redirect
    assert (await post(poster, sink.url)).status == 307

    async def to_itself(_: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": sink.url})

    sink.behave = to_itself
    assert (await post(poster, sink.url)).status == 308
    assert len(sink.received) == 2


async def test_proxies_of_the_environment_are_not_used(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    async with open_client() as poster:
        assert (await post(poster, sink.url)).status == 200


async def test_name_that_is_none_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system's resolver says it, without the name server of this machine."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with open_client() as poster:
        assert await failure(poster, "https://no-such-name.invalid/") == "name_not_resolved"


async def test_closed_port_is_a_failed_connection(poster: WebhookClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert await failure(poster, f"http://127.0.0.1:{port}/") == "connection_failed"


# What it puts up with


async def test_of_a_huge_answer_only_the_beginning_is_read(
    poster: WebhookClient, sink: Sink
) -> None:
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 2**30:
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    sink.behave = pour
    answer = await post(poster, sink.url)
    assert (answer.status, answer.body) == (200, b"x" * 65_536)
    await asyncio.sleep(0.1)
    assert sent < 2**25  # what lies in the buffers between us


async def test_compressed_answer_is_not_unpacked(poster: WebhookClient, sink: Sink) -> None:
    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b" + b"\0" * 20, headers={"Content-Encoding": "gzip"})

    sink.behave = bomb
    assert (await post(poster, sink.url)).body == b"\x1f\x8b" + b"\0" * 20


@asynccontextmanager
async def saying(
    *pieces: bytes, pause: float = 0, ends: bool = False, hangs: bool = True
) -> AsyncIterator[str]:
    """A server that says just this; its URL."""
    over = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        if hangs and not ends:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        over.set()
        server.close()


DRIPPING = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1000]


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 2"], DRIPPING[:1], DRIPPING])
async def test_receiver_that_takes_its_time_is_left(pieces: list[bytes]) -> None:
    async with (
        saying(*pieces, pause=0.02) as url,
        open_client(total_timeout=0.4) as poster,
    ):
        began = time.monotonic()
        assert await failure(poster, url) == "timed_out"
        assert time.monotonic() - began < 10  # all of it would take 20, and else it has 15


async def test_whole_exchange_has_fifteen_seconds_and_connecting_has_five() -> None:
    poster = client()
    timeout = poster._session.timeout
    assert (timeout.total, timeout.connect, timeout.sock_connect) == (15, 5, 5)
    await poster.close()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "connection_failed"),
        (b"SSH-2.0-OpenSSH_9.7\r\n", "invalid_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "invalid_answer"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", "invalid_answer"),
    ],
)
async def test_answer_that_is_none(poster: WebhookClient, said: bytes, code: str) -> None:
    async with saying(said, ends=True) as url:
        assert await failure(poster, url) == code


async def test_many_that_hang_hold_up_nobody_else(sink: Sink) -> None:
    async with saying() as hanging, open_client(total_timeout=60) as poster:
        stuck = [asyncio.create_task(post(poster, hanging)) for _ in range(300)]
        await asyncio.sleep(0.2)
        assert (await post(poster, sink.url)).status == 200
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


# TLS


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Authority:
    """Issues certificates that only its own trust store believes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = make_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority for tests")])
        is_authority = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = (
            self._builder(self._name, self._key, days=1)
            .add_extension(is_authority, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
        )

    def server(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """What a server of these names shows; expired with a negative number of days."""
        key = make_key()
        alternatives: list[x509.GeneralName] = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        certificate = (
            self._builder(x509.Name([]), key, days=days)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / "server.pem"
        pem = serialization.Encoding.PEM
        form = serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        path.write_bytes(key.private_bytes(pem, form, plain) + certificate.public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def trust(self) -> ssl.SSLContext:
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def over_tls(server: ssl.SSLContext, trust: ssl.SSLContext | None) -> str:
    """How a message to https://hooks.example/ fares, with its name asked for in the handshake."""
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with (
        receiving(tls=server) as sink,
        open_client(resolver=Names(["127.0.0.1"]), tls=trust) as poster,
    ):
        url = sink.url.replace("127.0.0.1", "hooks.example")
        try:
            status = (await post(poster, url)).status
        except WebhookError as error:
            assert not sink.received
            return error.code
        assert asked == ["hooks.example"]
        return str(status)


async def test_certificate_of_the_name_is_taken(authority: Authority) -> None:
    assert await over_tls(authority.server("hooks.example"), authority.trust()) == "200"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda authority: authority.server("other.example"),
        lambda authority: authority.server("127.0.0.1"),
        lambda authority: authority.server("hooks.example", days=-1),
    ],
    ids=["another_name", "the_address", "expired"],
)
async def test_wrong_certificate_is_refused(
    authority: Authority, wrong: Callable[[Authority], ssl.SSLContext]
) -> None:
    assert await over_tls(wrong(authority), authority.trust()) == "tls_failed"


async def test_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    """By the system's own trust store, which is what is used where no test gives another."""
    assert await over_tls(authority.server("hooks.example"), None) == "tls_failed"


async def test_server_without_tls_is_refused(sink: Sink, authority: Authority) -> None:
    async with open_client(tls=authority.trust()) as poster:
        url = sink.url.replace("http://", "https://")
        assert await failure(poster, url) == "tls_failed"
    assert not sink.received
