"""What editors see of an edition before anybody else: a preview, and test mails."""

import asyncio
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from app.adapters.smtp import SmtpPool
from app.crypto import Keyring
from app.db import Database
from app.jobs.mail_outbox import Circuit, MailSender
from app.models import EditionMessage, OutboxMail
from app.services.derived_files import signed_url
from app.services.edition_messages import FrozenMessage, Letter
from app.services.newsletter_tokens import Recipient
from tests.edition_desk import EDITIONS, create, send
from tests.factories import publish_story, withdraw
from tests.helpers import Api, Clock, Mailbox, audited, bearer, login, rows
from tests.scripted_smtp import ScriptedSmtp

BODY = "Hello, [reader](https://example.org/a).\n\n::asset[a-story]"


def preview_of(edition: dict[str, Any]) -> str:
    return f"{EDITIONS}/{edition['id']}/preview"


async def test_preview_is_what_is_sent(
    desk: Api, app: FastAPI, database: Database, keyring: Keyring, clock: Clock
) -> None:
    story = await publish_story(app, "a-story", title="A story")
    texts = {"en": {"subject": "Ships", "preheader": "All of them", "body": BODY}}
    edition = await send(desk, translations=texts)
    # What was sent stays visible, whatever becomes of the assets in it.
    await withdraw(app, story, "An error")
    response = await desk.get(preview_of(edition))
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    preview = response.json()
    address = preview.pop("url")
    [message] = [each for each in await rows(database, EditionMessage) if each.language == "en"]
    nobody = Letter(Recipient(UUID(int=0)), "reader@example.org")
    raw = FrozenMessage(message.frozen).fill(nobody, keyring=keyring, now=clock.now)
    mail = message_from_bytes(raw, EmailMessage, policy=default)
    text, html = (part.get_content() for part in mail.iter_parts())
    assert (preview["html"], preview["text"]) == (html, text)
    assert "A story" in html
    assert "@@" not in html + text
    assert preview == {
        "language": "en",
        "text_language": "en",
        "subject": "Ships",
        "preheader": "All of them",
        "html": html,
        "text": text,
        "html_bytes": len(html.encode()),
        "warnings": [
            {"code": "translation_missing", "message": "Readers of 'fr' get the text in 'en'"}
        ],
    }

    framed = await desk.get(address)
    page = await desk.get(preview_of(edition), params={"format": "html"})
    assert framed.text == page.text == html
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "script-src" not in policy
    plain = await desk.get(preview_of(edition), params={"format": "text"})
    assert plain.text == text
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"


async def address_of(desk: Api, edition: dict[str, Any], language: str = "en") -> httpx.URL:
    response = await desk.get(preview_of(edition), params={"language": language})
    return httpx.URL(response.json()["url"])


async def test_address_of_a_preview_works_without_a_token_for_fifteen_minutes(
    desk: Api, client: httpx.AsyncClient, clock: Clock
) -> None:
    address = await address_of(desk, await create(desk), "fr")
    clock.now += timedelta(minutes=14, seconds=59)
    page = await client.get(address)
    assert page.status_code == 200, page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "Trois bateaux." in page.text
    clock.now += timedelta(seconds=1)
    assert (await client.get(address)).status_code == 404


async def test_address_of_a_preview_shows_nothing_else(
    desk: Api, client: httpx.AsyncClient
) -> None:
    edition, other = await create(desk), await create(desk)
    address = await address_of(desk, edition)
    signature = address.params["signature"]
    first = "B" if signature[0] == "A" else "A"
    for changed in (
        address.copy_set_param("language", "fr"),
        address.copy_set_param("signature", first + signature[1:]),
        address.copy_set_param("signature", signature[:-4]),
        address.copy_set_param("signature", ""),
        address.copy_with(path=address.path.replace(edition["id"], other["id"])),
    ):
        assert (await client.get(changed)).status_code == 404, changed
    assert (await client.get(address.copy_remove_param("signature"))).status_code == 422
    # Nor does it open the calls that want a token.
    plain = address.copy_with(path=address.path.removesuffix(".html"))
    assert (await client.get(plain)).status_code == 401


async def test_signature_of_a_poster_shows_no_preview(
    desk: Api, client: httpx.AsyncClient, keyring: Keyring, clock: Clock
) -> None:
    edition = await create(desk)
    address = await address_of(desk, edition)
    poster = signed_url(UUID(edition["id"]), "poster", keyring=keyring, now=clock.now)
    signature = httpx.URL(poster).params["signature"]
    foreign = await client.get(address.copy_set_param("signature", signature))
    assert foreign.status_code == 404


async def test_only_the_app_may_frame_a_preview(
    desk: Api, app: FastAPI, client: httpx.AsyncClient
) -> None:
    app.state.settings = app.state.settings.model_copy(
        update={
            "public_url": "https://api.example.org",
            "app_url": "https://media.example.org",
            "cors_origins": ("https://desk.example.org",),
        }
    )
    edition = await create(desk)
    page = await client.get(await address_of(desk, edition))
    assert page.headers["content-security-policy"] == (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src * data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self' https://api.example.org "
        "https://desk.example.org https://media.example.org"
    )
    assert "x-frame-options" not in page.headers
    # Shown with a token, it is no page of anybody's.
    held = await desk.get(preview_of(edition), params={"format": "html"})
    assert held.headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert held.headers["x-frame-options"] == "DENY"


async def test_preview_warns_of_oversights(desk: Api) -> None:
    body = (
        "![](https://example.org/a.png) ![b](http://example.org/b.png) [c](/d)\n\n"
        + "A paragraph of some length, to fill the mail. " * 2_500
    )
    edition = await create(desk, translations={"en": {"subject": "s" * 151, "body": body}})
    preview = (await desk.get(preview_of(edition), params={"language": "fr"})).json()
    assert (preview["language"], preview["text_language"]) == ("fr", "en")
    assert [warning["code"] for warning in preview["warnings"]] == [
        "image_removed",
        "image_without_alt",
        "link_removed",
        "html_too_large",
        "subject_too_long",
        "translation_missing",
    ]
    assert preview["html_bytes"] > 102_400


async def test_preview_of_a_letter_without_oversights_warns_of_nothing(desk: Api) -> None:
    response = await desk.get(preview_of(await create(desk)))
    assert response.json()["warnings"] == []


async def test_draft_that_lacks_something_has_no_preview(desk: Api) -> None:
    edition = await create(desk, translations={"en": {"body": "::asset[no-such]"}})
    response = await desk.get(preview_of(edition))
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/translations/en/subject"]
    absent = {"id": "00000000-0000-7000-8000-000000000000"}
    assert (await desk.get(preview_of(absent))).status_code == 404


async def post_test(
    desk: Api, edition: dict[str, Any], *to: str, key: str | None = None, **fields: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    address = f"{EDITIONS}/{edition['id']}/test"
    return await desk.post(address, json={"to": list(to), **fields}, headers=headers)


async def test_test_mails_arrive_and_say_what_they_are(
    desk: Api, database: Database, keyring: Keyring, mailbox: Mailbox
) -> None:
    edition = await create(desk)
    to = ("ada@example.org", "grace@bücher.example", "ADA@example.org")
    for _ in range(2):
        response = await post_test(desk, edition, *to, key="press-once", language="fr")
        assert response.status_code == 202, response.text
        assert response.json() == {"language": "fr", "recipients": 2}
    assert (await audited(database))[-1] == "edition.tested"
    assert len([mail for mail in await mailbox.mails() if mail.kind == "edition_test"]) == 2

    async with database.transaction() as session:
        is_test = OutboxMail.kind == "edition_test"
        ids = list(await session.scalars(select(OutboxMail.id).where(is_test)))
    async with ScriptedSmtp() as server:
        smtp = SmtpPool(server.url, size=1)
        circuit = Circuit(asyncio.Event())
        sender = MailSender(database, keyring, smtp, circuit, "Accounts <a@example.org>", "")
        for mail_id in ids:
            await sender.send(mail_id)
        await smtp.close()
    recipients = {taken.recipient for taken in server.taken}
    assert recipients == {"ada@example.org", "grace@xn--bcher-kva.example"}
    first, second = (taken.message for taken in server.taken)
    assert {taken.sender for taken in server.taken} == {"account@localhost"}
    assert first["Subject"] == "[Test] L'automne sur l'eau"
    assert first["To"] == server.taken[0].recipient
    # Mailboxes show only one of two mails with the same id.
    assert first["Message-ID"] != second["Message-ID"]
    text, html = (part.get_content() for part in first.iter_parts())
    for part in (text, html):
        assert "Ceci est un essai." in part
        assert "à personne et ne changent rien" in part
        assert "/newsletter/archive/" not in part, "nothing is there before it is sent"


async def test_link_of_a_test_mail_changes_nothing(
    desk: Api, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await post_test(desk, await create(desk), "ada@example.org")
    raw = (await mailbox.last("ada@example.org")).params["message"]
    mail = message_from_bytes(raw.encode(), policy=default)
    one_click = str(mail["List-Unsubscribe"]).strip("<>")
    response = await client.post(one_click, data={"List-Unsubscribe": "One-Click"})
    assert response.status_code == 200, "as mailbox providers want it, who may try"


async def test_edition_has_fifty_test_mails_an_hour(desk: Api, clock: Clock) -> None:
    edition, other = await create(desk), await create(desk)
    ten = [f"reader-{number}@example.org" for number in range(10)]
    for _ in range(5):
        assert (await post_test(desk, edition, *ten)).status_code == 202
        clock.now += timedelta(minutes=1)
    refused = await post_test(desk, edition, "one-more@example.org")
    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["retry-after"] == str(55 * 60)
    assert (await post_test(desk, other, "one-more@example.org")).status_code == 202
    clock.now += timedelta(minutes=55)
    desk.headers.update(bearer((await login(desk, "editor@example.org")).json()))
    assert (await post_test(desk, edition, *ten)).status_code == 202


async def test_recipients_of_a_test_are_checked(desk: Api, mailbox: Mailbox) -> None:
    edition = await create(desk)
    eleven = [f"reader-{number}@example.org" for number in range(11)]
    assert (await post_test(desk, edition, *eleven)).status_code == 422
    assert (await post_test(desk, edition)).status_code == 422
    broken = await post_test(desk, edition, "ada@example.org", "bob@example.org\r\nBcc: x@y.zz")
    assert broken.status_code == 422
    assert [error["pointer"] for error in broken.json()["errors"]] == ["/to/1"]
    assert [mail for mail in await mailbox.mails() if mail.kind == "edition_test"] == []
