import json
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from app.adapters import mail_catcher
from app.adapters.mail_catcher import MailCatcher, read_mails


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[smtplib.SMTP]:
    monkeypatch.setenv("AIOSMTPD_CONTROLLER_TIMEOUT", "60")  # on a busy machine it starts later
    catcher = MailCatcher(folder)
    url = urlsplit(catcher.start())
    assert url.scheme == "smtp"
    assert url.hostname == "127.0.0.1"
    assert url.port
    with smtplib.SMTP(url.hostname, url.port, timeout=60) as client:
        yield client
    catcher.stop()


def letter(subject: str = "Hello", text: str = "Good day\n") -> EmailMessage:
    message = EmailMessage(policy=SMTPUTF8)
    message["Subject"] = subject
    message["From"] = "us@example.org"
    message.set_content(text)
    return message


def send(client: smtplib.SMTP, raw: bytes, *recipients: str) -> None:
    client.sendmail("us@example.org", recipients or ("ada@example.org",), raw)


def test_shows_what_the_contract_names(client: smtplib.SMTP, folder: Path) -> None:
    message = letter("1234 5678 est votre code de vérification", "Code : 1234 5678 é\n")
    message.add_alternative("<p>1234 5678 é</p>\n", subtype="html")
    begun = datetime.now(UTC)
    send(client, message.as_bytes(policy=SMTPUTF8))
    ended = datetime.now(UTC)
    [mail] = read_mails(folder)
    assert mail.to == "ada@example.org"
    assert mail.subject == "1234 5678 est votre code de vérification"
    assert mail.text == "Code : 1234 5678 é\n"
    assert mail.html == "<p>1234 5678 é</p>\n"
    assert mail.headers["From"] == "us@example.org"
    assert "X-Caught-For" not in mail.headers
    assert begun - timedelta(milliseconds=1) < mail.received_at <= ended  # whole milliseconds


def test_lists_newest_first_and_filters_by_envelope(client: smtplib.SMTP, folder: Path) -> None:
    for number in range(3):
        send(client, letter(f"for ada {number}").as_bytes())
    send(client, letter("for both").as_bytes(), "Ada@example.org", "bob@example.org")
    subjects = [mail.subject for mail in read_mails(folder, "ADA@example.org")]
    assert subjects == ["for both", "for ada 2", "for ada 1", "for ada 0"]
    assert [mail.subject for mail in read_mails(folder, "bob@example.org")] == ["for both"]
    assert read_mails(folder, "nobody@example.org") == []


def test_takes_addresses_outside_ascii(client: smtplib.SMTP, folder: Path) -> None:
    client.ehlo()
    client.mail("us@example.org", ["SMTPUTF8", "BODY=8BITMIME"])
    client.command_encoding = "utf-8"
    client.rcpt("jürgen@example.org")
    client.data("To: jürgen@example.org\r\nSubject: Grüße\r\n\r\nHallo\r\n".encode())
    [mail] = read_mails(folder, "jürgen@example.org")
    assert mail.subject == "Grüße"
    assert mail.headers["To"] == "jürgen@example.org"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no headers at all",
        b"\r\nonly a body\r\n",
        b"Subject: =?x-unknown?q?=ff=fe?=\r\nFrom: <<<>>\r\nTo: ,,;:\r\nDate: never\r\n\r\nx\r\n",
        b"Content-Type: text/plain; charset=nothing\r\n\r\n\xff\xfe\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\xed\xa0\x80\r\n",
        b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-\r\n",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
        b"Content-Type: multipart/alternative\r\n\r\nno boundary\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: te\xff",
        b"Subject: \xff\xfe\r\nMessage-ID: <[\r\nContent-Disposition: \xff; a*0*=;\r\n\r\n",
    ],
)
def test_broken_mails_do_not_break_the_list(client: smtplib.SMTP, folder: Path, raw: bytes) -> None:
    send(client, letter("fine").as_bytes())
    send(client, raw)
    broken, fine = read_mails(folder)
    assert fine.subject == "fine"
    # What cannot be encoded would break the JSON answer instead.
    shown = [broken.subject, broken.text, broken.html, *broken.headers.values()]
    assert json.dumps(shown, ensure_ascii=False).encode()


def test_repeated_headers_are_all_shown(client: smtplib.SMTP, folder: Path) -> None:
    send(client, b"Received: one\r\nReceived: two\r\n\r\n")
    assert read_mails(folder)[0].headers["Received"] == "one\ntwo"


def test_keeps_the_newest_only(
    client: smtplib.SMTP, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mail_catcher.MAILS_KEPT == 500
    monkeypatch.setattr(mail_catcher, "MAILS_KEPT", 3)
    for number in range(5):
        send(client, letter(f"{number}").as_bytes())
    assert [mail.subject for mail in read_mails(folder)] == ["4", "3", "2"]


def test_refuses_more_than_ten_mebibytes(client: smtplib.SMTP, folder: Path) -> None:
    client.ehlo()
    assert client.esmtp_features["size"] == "10485760"
    line = b"x" * 998 + b"\r\n"
    client.mail("us@example.org")
    client.rcpt("ada@example.org")
    assert client.data(line * 10_500)[0] == 552
    assert read_mails(folder) == []


def test_a_full_disk_is_a_temporary_refusal(client: smtplib.SMTP, folder: Path) -> None:
    folder.rename(folder.with_name("gone"))
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        send(client, letter().as_bytes())
    assert refusal.value.smtp_code == 452


def test_mails_hold_codes_so_the_folder_is_private(client: smtplib.SMTP, folder: Path) -> None:
    assert client.noop()[0] == 250
    assert folder.stat().st_mode & 0o777 == 0o700


def test_readers_never_meet_half_a_mail(client: smtplib.SMTP, folder: Path) -> None:
    """Several processes of the API read while the catcher writes and lets go of old mails."""
    seen: list[str | None] = []
    done = False

    def read() -> None:
        while not done:
            seen.extend(mail.text for mail in read_mails(folder))

    reader = Thread(target=read)
    reader.start()
    text = "x" * 70 + "\n"
    for _ in range(30):
        send(client, letter(text=text * 100).as_bytes())
    done = True
    reader.join()
    assert set(seen) <= {text * 100}


def test_reading_before_the_first_mail_is_no_error(tmp_path: Path) -> None:
    assert read_mails(tmp_path / "missing") == []


def test_foreign_files_are_passed_over(folder: Path) -> None:
    folder.mkdir()
    (folder / "note.eml").write_text("not ours")
    (folder / "0198c0de-0000-7000-8000-000000000000.eml").write_text("nor this")
    assert read_mails(folder) == []
