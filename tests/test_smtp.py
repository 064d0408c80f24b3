"""The connection pool, against a server on loopback that has every fault there is."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.adapters.smtp import (
    SmtpLimits,
    SmtpPermanent,
    SmtpPool,
    SmtpTemporary,
    SmtpUnavailable,
    parse_smtp_url,
)
from app.jobs import worker
from tests.hurried_worker import eventually
from tests.scripted_smtp import DROP, STALL, ScriptedSmtp, Step

# Seconds. Only where the server never answers: else a busy machine would do as a slow server.
MOMENT = 0.1
PATIENT = SmtpLimits()
SENDER = "us@media.example"
OpenPool = Callable[..., SmtpPool]


@pytest.fixture
async def smtp() -> AsyncIterator[ScriptedSmtp]:
    async with ScriptedSmtp() as server:
        yield server


@pytest.fixture
async def open_pool() -> AsyncIterator[OpenPool]:
    pools: list[SmtpPool] = []

    def open_one(
        url: str, *, size: int = 2, limits: SmtpLimits = PATIENT, tls: ssl.SSLContext | None = None
    ) -> SmtpPool:
        pools.append(SmtpPool(url, size=size, limits=limits, tls_context=tls))
        return pools[-1]

    yield open_one
    for pool in pools:
        await pool.close()


def letter(to: str = "ada@example.org") -> EmailMessage:
    message = EmailMessage()
    message["To"] = to
    message["Subject"] = "Hello"
    message.set_content("Good day\n.\n")
    return message


async def send(pool: SmtpPool, to: str = "ada@example.org") -> str:
    return await pool.send(letter(to), sender=SENDER, recipient=to)


# Taking mails


async def test_mail_arrives_as_it_is(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    assert await send(open_pool(smtp.url)) == "250 2.0.0 taken"
    [taken] = smtp.taken
    assert (taken.sender, taken.recipient) == (SENDER, "ada@example.org")
    assert taken.message["Subject"] == "Hello"
    assert taken.message.get_content() == "Good day\r\n.\r\n"


async def test_bytes_are_sent_untouched(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    raw = b"Subject: signed\r\n\r\nno  change\r\n"
    await open_pool(smtp.url).send(raw, sender=SENDER, recipient="ada@example.org")
    assert smtp.taken[0].raw == raw


async def test_connection_is_used_again(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    pool = open_pool(smtp.url)
    for _ in range(5):
        await send(pool)
    assert (len(smtp.taken), smtp.connections) == (5, 1)


async def test_pool_never_has_more_connections_than_its_size(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    pool = open_pool(smtp.url, size=3)
    await asyncio.gather(*(send(pool) for _ in range(20)))
    assert (len(smtp.taken), smtp.connections) == (20, 3)


async def test_connection_retires_after_its_share_of_mails(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    assert SmtpLimits().mails_per_connection == 100
    pool = open_pool(smtp.url, limits=SmtpLimits(mails_per_connection=2, quit=60))
    for _ in range(4):
        await send(pool)
    await pool.close()
    assert smtp.connections == 2
    assert smtp.commands.count("QUIT") == 2


async def test_connection_that_was_idle_for_long_retires(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    assert SmtpLimits().idle == 60
    pool = open_pool(smtp.url, limits=SmtpLimits(idle=0.05))
    await send(pool)
    await asyncio.sleep(0.06)
    await send(pool)
    assert smtp.connections == 2


async def test_close_says_goodbye_and_does_not_wait_for_an_answer(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    smtp.script("QUIT", STALL)
    pool = open_pool(smtp.url, limits=SmtpLimits(quit=MOMENT))
    await send(pool)
    async with asyncio.timeout(60):
        await pool.close()

    async def has_heard_it() -> bool:
        return smtp.commands[-1] == "QUIT"

    await eventually(has_heard_it)


# Idle connections that died


@pytest.mark.parametrize("fault", [DROP, "421 4.4.2 idle for too long"])
async def test_server_that_hung_up_meanwhile_costs_no_mail(
    smtp: ScriptedSmtp, open_pool: OpenPool, fault: str
) -> None:
    pool = open_pool(smtp.url)
    await send(pool)
    smtp.script("MAIL", fault)
    await send(pool)
    assert (len(smtp.taken), smtp.connections) == (2, 2)


async def test_restarted_server_costs_no_mail(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    pool = open_pool(smtp.url)
    await asyncio.gather(send(pool), send(pool))
    await smtp.stop()
    await smtp.start()
    await send(pool)
    assert len(smtp.taken) == 3


async def test_idle_connection_that_went_silent_is_replaced_soon(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    limits = SmtpLimits(command=3600, unproven_after=0, proof=MOMENT)
    pool = open_pool(smtp.url, limits=limits)
    await send(pool)
    smtp.script("MAIL", STALL)
    async with asyncio.timeout(60):
        await send(pool)
    assert (len(smtp.taken), smtp.connections) == (2, 2)


# Refusals


@pytest.mark.parametrize("step", ["RCPT", "DATA", "DOT"])
async def test_temporary_refusal(smtp: ScriptedSmtp, open_pool: OpenPool, step: Step) -> None:
    pool = open_pool(smtp.url)
    smtp.script(step, "451 4.7.1 later")
    with pytest.raises(SmtpTemporary, match=r"451 4\.7\.1 later") as refusal:
        await send(pool)
    assert not refusal.value.outcome_unknown
    await send(pool)
    assert (len(smtp.taken), smtp.connections) == (1, 1)


@pytest.mark.parametrize("step", ["RCPT", "DATA", "DOT"])
async def test_permanent_refusal(smtp: ScriptedSmtp, open_pool: OpenPool, step: Step) -> None:
    pool = open_pool(smtp.url)
    smtp.script(step, "550 5.1.1 no such user")
    with pytest.raises(SmtpPermanent, match=r"550 5\.1\.1 no such user"):
        await send(pool)
    await send(pool)
    assert (len(smtp.taken), smtp.connections) == (1, 1)


async def test_connection_that_cannot_be_reset_is_not_used_again(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    pool = open_pool(smtp.url)
    smtp.script("RCPT", "550 no")
    smtp.script("RSET", "500 what")
    with pytest.raises(SmtpPermanent):
        await send(pool)
    await send(pool)
    assert smtp.connections == 2


async def test_temporarily_refused_sender(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    """That is about us and not about one mail, so it must not be counted against the recipient."""
    smtp.script("MAIL", "452 4.5.3 too many mails")
    with pytest.raises(SmtpUnavailable, match="452") as refused:
        await send(open_pool(smtp.url))
    assert (refused.value.code, refused.value.status) == (452, "4.5.3")


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("CONNECT", "554 5.7.1 not you"),
        ("CONNECT", "421 4.3.2 shutting down"),
        ("EHLO", "421 4.3.2 shutting down"),
        ("MAIL", "421 4.3.2 shutting down"),
        ("MAIL", "530 5.7.0 authentication required"),
        ("CONNECT", DROP),
        ("CONNECT", STALL),
        ("EHLO", DROP),
        ("MAIL", DROP),
    ],
)
async def test_what_refuses_every_mail_is_not_the_mails_fault(
    smtp: ScriptedSmtp, open_pool: OpenPool, step: Step, answer: str
) -> None:
    smtp.script(step, answer)
    limits = SmtpLimits(connect=MOMENT) if answer == STALL else PATIENT
    with pytest.raises(SmtpUnavailable):
        await send(open_pool(smtp.url, limits=limits))


async def test_server_that_is_down(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    await smtp.stop()
    with pytest.raises(SmtpUnavailable, match="Error connecting to"):
        await send(open_pool(smtp.url))


@pytest.mark.parametrize("fault", [DROP, STALL])
@pytest.mark.parametrize(("step", "unknown"), [("RCPT", False), ("DOT", True)])
async def test_broken_connection(
    smtp: ScriptedSmtp, open_pool: OpenPool, step: Step, fault: str, *, unknown: bool
) -> None:
    pool = open_pool(smtp.url)
    await send(pool)
    smtp.script(step, fault)
    if fault == STALL:
        give_up_soon(pool, step)
    with pytest.raises(SmtpTemporary) as failure:
        await send(pool)
    assert failure.value.outcome_unknown == unknown
    smtp.relent()
    pool._limits = PATIENT
    await send(pool)
    assert smtp.connections == 2


def give_up_soon(pool: SmtpPool, step: Step) -> None:
    """Let its idle connection wait but a moment for the answer to this step, and to no earlier."""
    [session] = pool._idle
    client: Any = session._client
    if step == "RCPT":
        client.timeout = MOMENT
    else:
        pool._limits = SmtpLimits(contents=MOMENT)
        client.rset = partial(client.rset, timeout=MOMENT)


@pytest.mark.parametrize(
    ("step", "kind", "unknown"),
    [
        ("CONNECT", SmtpUnavailable, False),
        ("RCPT", SmtpTemporary, False),
        ("DOT", SmtpTemporary, True),
    ],
)
async def test_one_mail_has_a_deadline_for_everything(
    smtp: ScriptedSmtp,
    open_pool: OpenPool,
    monkeypatch: pytest.MonkeyPatch,
    step: Step,
    kind: type[SmtpTemporary | SmtpUnavailable],
    *,
    unknown: bool,
) -> None:
    """It is shorter than the lease of two minutes, or another worker would send it as well."""
    assert SmtpLimits().send == 90
    deadlines, timeout = [], asyncio.timeout

    def noted(seconds: float) -> asyncio.Timeout:
        made = timeout(seconds)
        if seconds == 90:
            deadlines.append(made)
        return made

    monkeypatch.setattr(asyncio, "timeout", noted)
    smtp.script(step, STALL)
    pool = open_pool(smtp.url, limits=SmtpLimits(connect=3600, command=3600, contents=3600))
    sending = asyncio.create_task(send(pool))
    await smtp.struck.wait()
    for _ in range(20):
        await asyncio.sleep(0.005)  # until the client waits for that answer
    [deadline] = deadlines
    deadline.reschedule(0)  # it is there now
    with pytest.raises(kind, match="too slow") as failure:
        await sending
    assert failure.value.outcome_unknown == unknown
    # The connection with an answer under way is not used for the next mail.
    await send(pool)
    assert smtp.connections == 2


async def test_server_may_look_at_the_contents_for_longer_than_at_a_command(
    smtp: ScriptedSmtp, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (SmtpLimits().command, SmtpLimits().contents) == (30, 30)
    # Less than the deadline of the whole mail, which is 90.
    assert worker.BULK_LIMITS.contents == 85
    waited_for, data = [], aiosmtplib.SMTP.data

    async def noted(client: aiosmtplib.SMTP, contents: bytes, **limits: float) -> Any:
        waited_for.append((client.timeout, limits["timeout"]))
        return await data(client, contents, **limits)

    monkeypatch.setattr(aiosmtplib.SMTP, "data", noted)
    await send(open_pool(smtp.url, limits=worker.BULK_LIMITS))
    assert waited_for == [(30, 85)]


async def test_cancelled_mail_takes_its_connection_with_it(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    pool = open_pool(smtp.url, limits=SmtpLimits())
    smtp.script("RCPT", STALL)
    sending = asyncio.create_task(send(pool))
    await smtp.struck.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await send(pool)
    assert (len(smtp.taken), smtp.connections) == (1, 2)


# Addresses


async def test_address_outside_ascii_goes_by_smtputf8(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    await send(open_pool(smtp.url), to="jürgen@example.org")
    assert "MAIL FROM:<us@media.example> SMTPUTF8 BODY=8BITMIME" in smtp.commands
    assert smtp.taken[0].recipient == "jürgen@example.org"
    assert "To: jürgen@example.org".encode() in smtp.taken[0].raw


async def test_address_outside_ascii_fails_where_the_server_has_no_smtputf8(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    smtp.extensions = ("8BITMIME",)
    pool = open_pool(smtp.url)
    with pytest.raises(SmtpPermanent, match="SMTPUTF8"):
        await send(pool, to="jürgen@example.org")
    await send(pool)
    assert len(smtp.taken) == 1


@pytest.mark.parametrize("address", ["ada@example.org> SIZE=1", "ada\r\nRCPT TO:<eve@x.example>"])
async def test_address_cannot_smuggle_commands(
    smtp: ScriptedSmtp, open_pool: OpenPool, address: str
) -> None:
    pool = open_pool(smtp.url)
    with pytest.raises(SmtpPermanent):
        await pool.send(letter(), sender=SENDER, recipient=address)
    assert not any(command.startswith("RCPT") for command in smtp.commands)
    await send(pool)


# Logging in


async def test_logs_in_once_for_many_mails(smtp: ScriptedSmtp, open_pool: OpenPool) -> None:
    smtp.extensions = ("AUTH PLAIN",)
    pool = open_pool(smtp.url.replace("//", "//us:secret@"))
    await send(pool)
    await send(pool)
    assert smtp.commands.count("AUTH PLAIN AHVzAHNlY3JldA==") == 1
    assert len(smtp.taken) == 2


@pytest.mark.parametrize("extensions", [("AUTH PLAIN",), ()])
async def test_failed_log_in_sends_nothing_and_tells_no_password(
    smtp: ScriptedSmtp, open_pool: OpenPool, extensions: tuple[str, ...]
) -> None:
    smtp.extensions = extensions
    smtp.script("AUTH", "535 5.7.8 wrong")
    with pytest.raises(SmtpUnavailable) as failure:
        await send(open_pool(smtp.url.replace("//", "//us:secret@")))
    assert "secret" not in failure.value.reason
    assert not any(command.startswith("MAIL") for command in smtp.commands)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "scripted.test")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + pem)
    return path


def serve_tls(smtp: ScriptedSmtp, certificate: Path) -> None:
    smtp.tls_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    smtp.tls_context.load_cert_chain(certificate)


async def test_required_starttls_secures_the_mail(
    smtp: ScriptedSmtp, open_pool: OpenPool, certificate: Path
) -> None:
    serve_tls(smtp, certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    await send(open_pool(f"{smtp.url}?starttls=require", tls=trusting))
    assert [command.partition(" ")[0] for command in smtp.commands] == [
        *("EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA")
    ]
    assert len(smtp.taken) == 1


async def test_smtps_is_secure_from_the_start(
    smtp: ScriptedSmtp, open_pool: OpenPool, certificate: Path
) -> None:
    await smtp.stop()
    serve_tls(smtp, certificate)
    await smtp.start(implicit_tls=True)
    trusting = ssl.create_default_context(cafile=certificate)
    await send(open_pool(smtp.url.replace("smtp:", "smtps:"), tls=trusting))
    assert len(smtp.taken) == 1
    assert "STARTTLS" not in smtp.commands


async def test_required_starttls_that_is_not_offered_sends_nothing(
    smtp: ScriptedSmtp, open_pool: OpenPool
) -> None:
    with pytest.raises(SmtpUnavailable, match="STARTTLS"):
        await send(open_pool(f"{smtp.url}?starttls=require"))
    assert not any(command.startswith("MAIL") for command in smtp.commands)


async def test_certificate_that_nobody_vouches_for_sends_nothing(
    smtp: ScriptedSmtp, open_pool: OpenPool, certificate: Path
) -> None:
    serve_tls(smtp, certificate)
    with pytest.raises(SmtpUnavailable, match="certificate verify failed"):
        await send(open_pool(f"{smtp.url}?starttls=require"))
    assert not any(command.startswith("MAIL") for command in smtp.commands)


# The URL


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://127.0.0.1:2525", 2525, "none"),
        ("smtp://localhost", 25, "none"),
        ("smtp://[::1]:2525", 2525, "none"),
        ("smtp://127.0.0.1?starttls=require", 587, "required"),
        ("smtp://mail.example?starttls=require", 587, "required"),
        ("smtp://mail.example:25?starttls=require", 25, "required"),
        ("smtps://mail.example", 465, "implicit"),
        ("smtps://127.0.0.1:4465", 4465, "implicit"),
    ],
)
def test_url_decides_on_port_and_tls(url: str, port: int, tls: str) -> None:
    server = parse_smtp_url(url)
    assert (server.port, server.tls) == (port, tls)


def test_user_and_password_may_be_percent_encoded() -> None:
    server = parse_smtp_url("smtps://us%40media.example:p%3Aw%2Fd@mail.example")
    assert (server.username, server.password) == ("us@media.example", "p:w/d")
    assert "p:w/d" not in repr(server)


def test_another_host_without_tls_is_for_development_only() -> None:
    with pytest.raises(ValueError, match="starttls=require"):
        parse_smtp_url("smtp://mail.example")
    assert parse_smtp_url("smtp://mail.example", opportunistic_tls=True).tls == "opportunistic"


@pytest.mark.parametrize(
    "url",
    [
        "mail.example:25",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example/path",
        "smtp://mail.example?starttls=maybe",
        "smtp://mail.example?tls=1",
        "smtp://mail.example:port",
    ],
)
def test_malformed_url_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011  # several messages
        parse_smtp_url(url.replace("mail.", "user:hunter2@mail."), opportunistic_tls=True)
    assert "hunter2" not in str(refusal.value)
