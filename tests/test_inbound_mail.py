"""The two ways in for what comes back: POST /v1/mail/inbound, and the worker's own mail server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import aiosmtplib
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.adapters.bounce_listener import BounceListener, ListenerLimits
from app.crypto import Keyring
from app.db import Database
from app.jobs import bounces as bounces_job
from app.jobs.bounces import BounceIntake
from app.models import Subscriber
from app.services import newsletter_tokens, subscriptions
from app.services.consents import Evidence
from app.services.emails import parse_email
from app.services.newsletter_tokens import Recipient
from app.services.subscriptions import Choice
from app.settings import Settings
from tests import hurried_worker
from tests.conftest import copied_database, settings_for
from tests.helpers import patient_database, rows
from tests.hurried_worker import KEYRING, SETTINGS, eventually, working
from tests.programs import kept_port
from tests.sample_reports import ARF, POSTFIX, fill
from tests.scripted_smtp import ScriptedSmtp

TOKEN = "the token that only the mail server has"
DOMAIN = "bounces.media.example"
VERP = newsletter_tokens.bounce_address(
    Recipient(UUID("019a0000-0000-7000-8000-000000000001"), 7), domain=DOMAIN, keyring=KEYRING
)
STRANGER = "b+" + "a" * 48 + "@" + DOMAIN


# Over HTTP


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path).model_copy(update={"inbound_token": SecretStr(TOKEN)})


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return KEYRING


async def hand_in(
    client: httpx.AsyncClient,
    raw: bytes,
    *recipients: str,
    token: str | None = TOKEN,
    media_type: str = "message/rfc822",
) -> httpx.Response:
    headers = {"Content-Type": media_type} | ({"Authorization": f"Bearer {token}"} if token else {})
    params = {"recipient": list(recipients)}
    return await client.post("/v1/mail/inbound", content=raw, headers=headers, params=params)


async def test_mail_server_hands_bounces_in(client: httpx.AsyncClient) -> None:
    for response in (
        await hand_in(client, fill(POSTFIX), "news@media.example", VERP),
        await hand_in(client, fill(POSTFIX), VERP.replace("+", " ")),
        await hand_in(client, fill(POSTFIX, verp=VERP)),
        await hand_in(client, fill(POSTFIX, verp=VERP), media_type="Message/RFC822; charset=x"),
    ):
        assert (response.status_code, response.json()) == (202, {"outcome": "hard_bounce"})
        assert response.headers["cache-control"] == "no-store"
    response = await hand_in(client, fill(ARF, verp=VERP))
    assert (response.status_code, response.json()) == (202, {"outcome": "complaint"})
    for raw in (b"", b"\0\xff", fill(POSTFIX, verp=STRANGER)):
        response = await hand_in(client, raw)
        assert (response.status_code, response.json()) == (202, {"outcome": "ignored"})


async def test_only_the_mail_server_may_hand_in(client: httpx.AsyncClient) -> None:
    for token, code in ((None, "login_required"), ("wrong", "invalid_token")):
        response = await hand_in(client, fill(POSTFIX, verp=VERP), token=token)
        assert (response.status_code, response.json()["code"]) == (401, code)
        assert "INBOUND_TOKEN" in response.json()["detail"]
    response = await hand_in(client, b"{}", media_type="application/json")
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_mails_of_ten_mebibytes_are_taken_and_larger_ones_refused(
    client: httpx.AsyncClient,
) -> None:
    raw = fill(POSTFIX, verp=VERP)
    largest = raw + b"x" * (10 * 1024 * 1024 - len(raw))
    assert (await hand_in(client, largest)).json() == {"outcome": "hard_bounce"}
    response = await hand_in(client, largest + b"x")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_without_a_token_in_the_settings_there_is_nothing(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    unset = settings.model_copy(update={"inbound_token": None})
    client._transport.app.state.settings = unset  # type: ignore[attr-defined]  # httpx's own
    response = await hand_in(client, fill(POSTFIX, verp=VERP))
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


# By SMTP


class Intake:
    """Takes mails for one address, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, Sequence[str]]] = []
        self.faults: list[Exception] = []

    async def take_in(self, raw: bytes, recipients: Sequence[str]) -> None:
        if self.faults:
            raise self.faults.pop()
        self.taken.append((raw, recipients))


LIMITS = ListenerLimits(message_bytes=100_000, connections=3, command=300, rebind=0.05)


@asynccontextmanager
async def listening(
    intake: Intake,
    *,
    listen: str = "127.0.0.1:0",
    limits: ListenerLimits = LIMITS,
    accepts: Callable[[str], bool] = lambda address: address == VERP,
) -> AsyncIterator[BounceListener]:
    listener = BounceListener(
        listen, name=DOMAIN, accepts=accepts, take_in=intake.take_in, limits=limits
    )
    running = asyncio.create_task(listener.run())
    try:
        await eventually(lambda: _is_up(listener, running))
        yield listener
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _is_up(listener: BounceListener, running: "asyncio.Task[None]") -> bool:
    return listener.port is not None or running.done()


@asynccontextmanager
async def connected(listener: BounceListener) -> AsyncIterator[aiosmtplib.SMTP]:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=listener.port) as client:
        yield client


@pytest.fixture
def intake() -> Intake:
    return Intake()


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as port:
        yield port


async def test_bounce_comes_by_smtp_with_an_empty_sender(intake: Intake) -> None:
    raw = fill(POSTFIX, verp=VERP) + b".a dot\r\n" + b"x" * 50_000 + b"\r\n"
    async with listening(intake) as listener, connected(listener) as client:
        for _ in range(2):  # on one connection
            await client.sendmail("", [VERP], raw, mail_options=["BODY=8BITMIME"])
    assert intake.taken == [(raw, (VERP,))] * 2


async def test_it_is_no_open_relay(intake: Intake) -> None:
    async with listening(intake) as listener, connected(listener) as client:
        await client.mail("")
        for address in ("jane@example.org", STRANGER, f"postmaster@{DOMAIN}"):
            with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
                await client.rcpt(address)
            assert refused.value.code == 550
        await client.rcpt(VERP)
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await client.rcpt(VERP)
        assert refused.value.code == 452
        await client.data(b"x\r\n")
    assert len(intake.taken) == 1


async def test_mail_is_taken_only_once_it_has_been_dealt_with(intake: Intake) -> None:
    intake.faults = [ConnectionRefusedError(), TimeoutError()]
    async with listening(intake) as listener, connected(listener) as client:
        for _ in range(2):
            with pytest.raises(aiosmtplib.SMTPResponseException) as postponed:
                await client.sendmail("", [VERP], b"x\r\n")
            assert postponed.value.code == 451
        await client.sendmail("", [VERP], b"x\r\n")
    assert len(intake.taken) == 1


async def test_too_large_mails_are_refused(intake: Intake) -> None:
    async with listening(intake) as listener, connected(listener) as client:
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await client.sendmail("", [VERP], b"x" * 70 + b"\r\n" + b"y\r\n" * 40_000)
        assert refused.value.code == 552
    assert intake.taken == []


async def test_too_many_clients_are_sent_away(intake: Intake) -> None:
    async with listening(intake) as listener:
        assert listener.port is not None
        clients = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(4)]
        answers = [await _answer(reader) for reader, _ in clients]
        assert answers == ["220"] * 3 + ["421"]
        for _, writer in clients:
            writer.close()


async def test_silent_clients_are_sent_away(intake: Intake) -> None:
    async with listening(intake, limits=replace(LIMITS, command=0.3)) as listener:
        assert listener.port is not None
        silent = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(3)]
        async with asyncio.timeout(60):
            for reader, writer in silent:
                await reader.read()
                writer.close()
        listener._limits = LIMITS
        async with connected(listener) as client:  # there is room again
            await client.sendmail("", [VERP], b"x\r\n")
    assert len(intake.taken) == 1


async def test_lmtp(intake: Intake) -> None:
    lines = ["EHLO a.example", "LHLO a.example", "MAIL FROM:<>", f"RCPT TO:<{VERP}>", "DATA"]
    async with listening(intake, listen="lmtp://[::1]:0") as listener:
        reader, writer = await asyncio.open_connection("::1", listener.port)
        answers = [await _answer(reader)]
        for line in [*lines, "x\r\n."]:
            writer.write(f"{line}\r\n".encode())
            answers.append(await _answer(reader))
        writer.close()
        await writer.wait_closed()
    assert answers == ["220", "500", "250", "250", "250", "354", "250"]
    assert intake.taken == [(b"x\r\n", (VERP,))]


async def _answer(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(60):
        while (line := (await reader.readline()).decode())[3:4] == "-":
            pass
    return line[:3]


async def test_second_worker_of_a_host_takes_over_when_the_first_ends(
    intake: Intake, port: int
) -> None:
    other, listen = Intake(), f"127.0.0.1:{port}"
    async with listening(intake, listen=listen) as first:
        waiting = BounceListener(
            listen, name=DOMAIN, accepts=bool, take_in=other.take_in, limits=LIMITS
        )
        running = asyncio.create_task(waiting.run())
        await asyncio.sleep(0.15)
        assert waiting.port is None
        async with connected(first) as client:
            await client.sendmail("", [VERP], b"x\r\n")
    await eventually(lambda: _is_up(waiting, running))
    async with connected(waiting) as client:
        await client.sendmail("", [VERP], b"y\r\n")
    running.cancel()
    await asyncio.wait([running])
    assert (len(intake.taken), len(other.taken)) == (1, 1)


async def test_listener_that_ends_hangs_up(intake: Intake) -> None:
    async with listening(intake) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await _answer(reader) == "220"
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


def test_addresses_that_we_gave_out_are_accepted(database: Database) -> None:
    intake = BounceIntake(database, KEYRING, DOMAIN)
    for address in (VERP, VERP.upper(), f"complaints@{DOMAIN}", f"Complaints@{DOMAIN.upper()}"):
        assert intake.accepts(address)
    other_domain = VERP.replace(DOMAIN, "media.example")
    for address in (STRANGER, other_domain, f"abuse@{DOMAIN}", "complaints", "", f"@{DOMAIN}"):
        assert not intake.accepts(address)


async def test_worker_listens_where_it_is_told_to(
    server_url: str, template: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening_there = {"bounce_domain": DOMAIN, "bounce_listen": f"127.0.0.1:{port}"}
    monkeypatch.setattr(hurried_worker, "SETTINGS", SETTINGS.model_copy(update=listening_there))
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port)

    async def is_connected() -> bool:
        with suppress(aiosmtplib.SMTPConnectError):
            await client.connect()
        return client.is_connected

    async with copied_database(server_url, template) as url, ScriptedSmtp() as smtp:
        database = patient_database(url)
        verp = await subscribed(database)
        async with working(database, smtp.url):
            await eventually(is_connected)
            with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                await client.sendmail("", [STRANGER], fill(POSTFIX))
            async with locked_out(database):  # as if the database were away
                with pytest.raises(aiosmtplib.SMTPDataError) as postponed:
                    await client.sendmail("", [verp], fill(POSTFIX))
            assert postponed.value.code == 451
            assert [each.state for each in await rows(database, Subscriber)] == ["subscribed"]
            await client.sendmail("", [verp], fill(POSTFIX))
            assert [each.state for each in await rows(database, Subscriber)] == ["suppressed"]
            await client.quit()
        await database.close()


async def subscribed(database: Database) -> str:
    """A new subscriber's envelope sender."""
    async with database.transaction() as session:
        subscriber = await subscriptions.subscribe(
            session,
            parse_email("jane@example.org"),
            Choice((), "en", "each"),
            Evidence("test"),
            keyring=KEYRING,
            now=datetime.now(UTC),
        )
    recipient = Recipient(subscriber.id)
    return newsletter_tokens.bounce_address(recipient, domain=DOMAIN, keyring=KEYRING)


@asynccontextmanager
async def locked_out(database: Database) -> AsyncIterator[None]:
    """A time in which statements that count bounces fail."""
    await _rename(database, "newsletter_subscriber", "elsewhere")
    yield
    await _rename(database, "elsewhere", "newsletter_subscriber")


async def _rename(database: Database, old: str, new: str) -> None:
    async with database.transaction() as session:
        await session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


async def test_without_an_address_nobody_listens(database: Database) -> None:
    async with asyncio.timeout(60):
        await bounces_job.listen(database, settings=SETTINGS, keyring=KEYRING)


@pytest.mark.parametrize(
    "listen", ["[::]:25", "0.0.0.0:2525", "smtp://a.example:25", "lmtp://a:24"]
)
def test_addresses_to_listen_on(listen: str) -> None:
    assert Settings(bounce_listen=listen, bounce_domain=DOMAIN).bounce_listen == listen


@pytest.mark.parametrize(
    ("listen", "domain", "words"),
    [
        ("127.0.0.1:2525", None, "BOUNCE_LISTEN needs BOUNCE_DOMAIN"),
        ("127.0.0.1:70000", DOMAIN, "ports end at 65535"),
        ("127.0.0.1", DOMAIN, "bounce_listen"),
        ("http://a:25", DOMAIN, "bounce_listen"),
    ],
)
def test_settings_that_cannot_work_are_refused(listen: str, domain: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(bounce_listen=listen, bounce_domain=domain)
