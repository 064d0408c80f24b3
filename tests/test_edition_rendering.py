"""From what an editor writes to the mail that a reader opens."""

from contextlib import suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from time import process_time
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from lxml import html as lxml_html
from sqlalchemy import select

from app.crypto import Keyring
from app.db import Database
from app.errors import InvalidInput
from app.models import Edition, EditionMessage
from app.services import edition_freezing, edition_messages, edition_rendering
from app.services.context import Newsroom
from app.services.edition_messages import FrozenMessage, Letter, RenderedEdition
from app.services.newsletter_tokens import Recipient, read
from tests.edition_desk import NEWSROOM, NOON
from tests.factories import add_draft, publish_story, withdraw
from tests.sample_assets import publish_rich_video
from tests.sample_documents import VIDEO

SUBSCRIBER = UUID("019ab000-0000-7000-8000-000000000001")
SUBJECT = "Orages à l'océan 🌊: every ship that we followed this week, from Brest to Calais & back"
BODY = """\
# Storms & calm

**Hello** from _the sea_ 🚢, with <span lang="ar" dir="rtl">مرحبا</span>.
Read [the log](https://example.org/log?a=1&b=2), write to <desk@example.org>.

::asset[harbour-exercise]

| Port | Ships |
|:-----|------:|
| Brest | 12 |
| Calais | 140 |

> What a week!
>
> - for some
> - for others

1. First
2. Then
   - nested

## To finish

```
$ ls
```

![A boat](https://example.org/boat.jpg) and <a href="https://example.org/raw">a raw link</a>.

::asset[harbour-exercise]{poster=false}
"""
TEXT = f"""\
Storms & calm
=============

*Hello* from _the sea_ 🚢, with مرحبا.
Read the log (https://example.org/log?a=1&b=2), write to desk@example.org.

{VIDEO["title"]} (0:15)
{VIDEO["summary"]}
http://127.0.0.1:8000/assets/harbour-exercise

Port | Ships
------------
Brest | 12
Calais | 140

> What a week!
>
> - for some
> - for others

1. First
2. Then
   - nested

To finish
---------

    $ ls

[A boat] and a raw link (https://example.org/raw).

{VIDEO["title"]} (0:15)
{VIDEO["summary"]}
http://127.0.0.1:8000/assets/harbour-exercise"""


def edition_with(body: str = "Text", **fields: object) -> Edition:
    translations = {"en": {"subject": "Subject", "preheader": "Before the rest", "body": body}}
    values = {
        "kind": "edition",
        "frequency": "each",
        "topics": [],
        "name": "A test",
        "translations": translations,
        "language": "en",
        "in_archive": True,
        "created_at": NOON,
        "updated_at": NOON,
        **fields,
    }
    return Edition(**values)


async def rendered(
    database: Database, edition: Edition, language: str = "en", *, is_test: bool = False
) -> RenderedEdition:
    async with database.transaction() as session:
        session.add(edition)
        await session.flush()
        return await edition_rendering.render(
            session, edition, language, newsroom=NEWSROOM, now=NOON, is_test=is_test
        )


async def refused(
    database: Database, edition: Edition, language: str = "en"
) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        await rendered(database, edition, language)
    return [(error["pointer"], error["code"]) for error in caught.value.errors]


async def test_edition_with_everything_arrives_as_it_was_written(
    app: FastAPI, database: Database, keyring: Keyring
) -> None:
    asset_id = await publish_rich_video(app)
    french = {"subject": "Orages", "body": "Bonjour.\n\n::asset[harbour-exercise]"}
    english = {"subject": SUBJECT, "preheader": "What we saw 👀", "body": BODY}
    edition = edition_with(translations={"en": english, "fr": french}, from_name="Café Harbour")
    async with database.transaction() as session:
        session.add(edition)
        await session.flush()
        for _ in range(2):  # a scheduled edition is frozen again when it starts
            await edition_freezing.freeze(session, edition, newsroom=NEWSROOM, now=NOON)
        stored = list(await session.scalars(select(EditionMessage)))
    messages = {message.language: message for message in stored}
    assert {message.variant: message.language for message in stored} == {0: "en", 1: "fr"}
    letter = Letter(Recipient(SUBSCRIBER, edition.number), "ada@example.org")
    raw = FrozenMessage(messages["en"].frozen).fill(letter, keyring=keyring, now=NOON)
    mail = message_from_bytes(raw, EmailMessage, policy=default)
    assert not mail.defects
    assert mail["From"] == "Café Harbour <news@example.org>"
    assert mail["Subject"] == SUBJECT
    assert mail["Content-Language"] == "en"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    one_click = str(mail["List-Unsubscribe"]).strip("<>").rpartition("/")[2]
    assert read("unsubscribe", one_click, keyring=keyring).subscriber_id == SUBSCRIBER

    text, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    assert TEXT in text
    assert text.startswith("Café Harbour\nNovember 23, 2026\n")
    page = lxml_html.fromstring(html)
    links = page.xpath("//a/@href")
    for purpose in ("unsubscribe", "preferences"):
        address = f"http://127.0.0.1:8000/newsletter/{purpose}#token="
        [link] = [each for each in links if each.startswith(address)]
        token = link.removeprefix(address)
        assert read(purpose, token, keyring=keyring).subscriber_id == SUBSCRIBER
        assert f"{link}\n" in text
    archive = f"http://127.0.0.1:8000/v1/newsletter/archive/{edition.number}?language=en"
    assert archive in links
    assert archive in text
    [poster] = page.xpath("//div[@class='asset']//img")
    assert poster.get("src") == f"http://127.0.0.1:8000/v1/assets/{asset_id}/poster.jpg?v=2"
    assert poster.get("alt") == VIDEO["title"]
    assert page.xpath("//h1/@style"), "styles are inlined, since many programs read no others"
    assert "prefers-color-scheme: dark" in page.xpath("string(//style)")
    assert page.xpath("//span[@dir='rtl']/text()") == ["مرحبا"]
    assert "text-align: right" in page.xpath("//td[. = '140']")[0].get("style").replace(":r", ": r")

    assert "\0" not in messages["en"].html + messages["en"].text
    assert "token" not in messages["en"].html + messages["en"].text
    assert messages["fr"].subject == "Orages"
    assert "Exercice au port" in messages["fr"].html


async def test_reader_without_a_translation_gets_the_text_of_the_edition(
    app: FastAPI, database: Database
) -> None:
    await publish_rich_video(app)
    edition = edition_with("Hello.\n\n::asset[harbour-exercise]")
    found = await rendered(database, edition, "fr")
    page = lxml_html.fromstring(found.html)
    assert (found.language, found.subject) == ("en", "Subject")
    assert page.get("lang") == "en"
    # What is not the editor's is in the reader's own language, and says so to screen readers.
    assert "Se désabonner" in page.xpath("string(//td[@class='foot' and @lang='fr'])")
    assert page.xpath("string(//div[@class='asset' and @lang='fr']//h3)") == "Exercice au port"
    assert "23 novembre 2026" in found.text


async def test_asset_in_a_language_that_is_read_from_the_right_says_so(
    app: FastAPI, database: Database
) -> None:
    await publish_story(app, "arabic", language="ar", title="مناورة")
    await publish_story(app, "klingon", language="tlh", title="Qapla'")
    found = await rendered(database, edition_with("::asset[arabic]\n::asset[klingon]"))
    shown = lxml_html.fromstring(found.html).xpath("//div[@class='asset']")
    assert [(each.get("lang"), each.get("dir")) for each in shown] == [
        ("ar", "rtl"),
        ("tlh", "ltr"),
    ]


async def test_html_of_an_editor_is_made_harmless(database: Database) -> None:
    hostile = (
        '<p onclick="x()" style="position:fixed" class="foot">kept</p><script>alert(1)</script>'
        "<style>.page{display:none}</style><iframe src='https://e.org'></iframe><base href='//e'>"
        "<form action='https://e.org'><input name=a></form><svg><script>alert(2)</script></svg>"
        "<link rel=stylesheet href='https://e.org/a.css'><meta http-equiv=refresh content=0>\n\n"
        "[a](javascript:alert(3)) <a href='JaVaScRiPt:alert(4)'>b</a> <a href=' data:x'>c</a> "
        "[d](/relative) <b onmouseover='x'>e</b> ![f](http://e.org/a.png) ![g](data:image/png,x)"
        "\n\n</td></tr></table></body>outside <img src=x onerror=alert(5)> <!-- <b> -->"
    )
    found = await rendered(database, edition_with(hostile))
    page = lxml_html.fromstring(found.html)
    assert page.xpath("//script | //iframe | //form | //input | //link | //base | //svg") == []
    assert page.xpath("//@*[starts-with(name(), 'on')]") == []
    assert {url.partition(":")[0] for url in page.xpath("//@href | //@src")} == {"http"}, "our own"
    assert len(page.xpath("//style")) == 1
    assert len(page.xpath("//meta")) == 4, "the layout's own"
    assert "display:none" not in page.xpath("string(//style)")
    content = page.xpath("//td[contains(@class, 'content')]")[0]
    assert "outside" in content.text_content(), "no tag of the editor's closes one of the layout"
    assert dict(content.xpath(".//p")[0].attrib).keys() <= {"style"}
    assert "position" not in content.xpath(".//p")[0].get("style")
    assert "alert(1)" not in found.text


async def test_words_that_look_like_a_gap_stay_words(database: Database) -> None:
    typed = "Write @@unsubscribe@@ or &#64;@preferences@@ [x](https://e.org/?t=@@unsubscribe@@)"
    edition = edition_with(typed)
    edition.translations["en"]["subject"] = "All about @@unsubscribe@@"
    found = await rendered(database, edition)
    message = edition_freezing.message(found, edition, variant=0, language="en", newsroom=NEWSROOM)
    # One in a header, and one of each kind in both parts.
    assert message.frozen.count(b"\0unsubscribe\0") == 3
    assert message.frozen.count(b"\0preferences\0") == 2
    assert "unsubscribe@@ or" in found.text


async def test_only_public_assets_can_be_shown(app: FastAPI, database: Database) -> None:
    await publish_story(app, "a-story")
    await add_draft(app, "a-draft")
    taken_back = await publish_story(app, "taken-back")
    await withdraw(app, taken_back, "An error")
    body = """\
::asset[a-story]

::asset[a-draft]
::asset[taken-back]
::asset[no-such]

- ::asset[a-story]

::asset[a-story

    ::asset[in-code]

In a sentence, ::asset[in-text] means nothing.
"""
    with pytest.raises(InvalidInput) as caught:
        await rendered(database, edition_with(body))
    assert {error["pointer"] for error in caught.value.errors} == {"/translations/en/body"}
    assert [(error["code"], error["message"]) for error in caught.value.errors] == [
        ("asset_not_public", "There is no public asset 'a-draft'"),
        ("asset_not_public", "There is no public asset 'taken-back'"),
        ("asset_not_public", "There is no public asset 'no-such'"),
        ("asset_misplaced", "'a-story' needs a line outside of lists and quotations"),
        ("asset_not_public", "There is no public asset '::asset[a-story'"),
    ]
    for attributes in ("poster=maybe", ""):
        body = f"::asset[a-story]{{{attributes}}}"
        assert await refused(database, edition_with(body)) == [
            ("/translations/en/body", "asset_attribute_unknown")
        ]
    too_many = "::asset[a-story]\n" * 101
    assert await refused(database, edition_with(too_many)) == [
        ("/translations/en/body", "too_many_assets")
    ]


LACKING: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({}, {("subject", "required"), ("body", "required")}),
    ({"subject": " ", "body": "B"}, {("subject", "required")}),
    ({"subject": "A\r\nBcc: b@example.org", "body": "B"}, {("subject", "control_character")}),
    (
        {"subject": "A", "preheader": "B\u2028", "body": "B"},
        {("preheader", "control_character")},
    ),
    ({"subject": "A", "body": "x" * 200_001}, {("body", "too_long")}),
]


@pytest.mark.parametrize(("text", "expected"), LACKING)
async def test_what_keeps_an_edition_from_being_sent_is_named(
    database: Database, text: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    found = await refused(database, edition_with(translations={"en": text}))
    assert set(found) == {(f"/translations/en/{name}", code) for name, code in expected}


async def test_sender_of_two_lines_is_refused(database: Database) -> None:
    edition = edition_with(from_name="News\nBcc: b@example.org")
    assert await refused(database, edition) == [("/from_name", "control_character")]


def test_long_names_of_hosts_are_never_encoded() -> None:
    """No mailbox provider would know an encoded List-Id, Feedback-ID or address for one."""
    host = "newsletter.multimedia-desk.international.news-agency.example.org"
    newsroom = Newsroom(f"Desk <mail@{host}>", f"https://{host}", f"https://{host}")
    rendered = RenderedEdition(
        html="", text="", language="en", subject="S", preheader="", archive_html="", archive_text=""
    )
    edition = Edition(number=7, kind="edition", from_name=None)
    frozen = edition_messages.freeze(rendered, edition=edition, newsroom=newsroom)
    head = frozen.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert f"List-Archive: <https://{host}/v1/newsletter/archive>" in head
    assert f"List-Id: Multimedia Account <newsletter.{host}>" in head
    assert f"Feedback-ID: 7:edition:newsletter:{host}" in head


async def test_translation_that_is_half_done_is_not_passed_over(database: Database) -> None:
    translations = {"en": {"subject": "A", "body": "B"}, "fr": {"subject": "C"}}
    edition = edition_with(translations=translations)
    found = await refused(database, edition, "fr")
    assert found == [("/translations/fr/body", "required")]


HOSTILE = {
    "brackets": "[" * 100_000,
    "few brackets": "[" * 19_900,
    "images": "![" * 9_900,
    "links in links": "[a](b" * 19_000,
    "emphasis": "*" * 9_900 + "a" + "*" * 9_900,
    "strikes": "~~a" * 5_000,
    "lists": "- " * 100_000,
    "quotations": ">" * 19_900,
    "wide table": "a|" * 5_000 + "\n" + "-|" * 5_000 + "\n" + "a\n" * 5,
    "elements": "<ul><li>" * 25_000,
    "table in table": "<table><tr><td>" * 1_600,
    "hidden tags": '<ul><a title="</ul>">' * 1_600,
    "asset lines": "::asset[a]\n" * 18_000,
    "entities": "&" * 19_900,
}


async def test_no_text_takes_seconds_to_render(database: Database) -> None:
    """Processor time, so that a busy machine does not count against it."""
    took = {}
    for name, body in HOSTILE.items():
        started = process_time()
        with suppress(InvalidInput):  # which is quick too
            await rendered(database, edition_with(body))
        took[name] = process_time() - started
    assert max(took.values()) < 2, took


async def test_test_mail_says_what_it_is_and_a_digest_has_no_archive(database: Database) -> None:
    assert "This is a test." in (await rendered(database, edition_with(), is_test=True)).html
    digest = await rendered(database, edition_with(kind="digest", frequency="daily"))
    assert "This is a test." not in digest.html + digest.text
    assert "/archive/" not in digest.html + digest.text
