"""What mails say and how they are dressed."""

import json
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from html.parser import HTMLParser
from typing import get_args
from uuid import UUID

import pytest
from typing_extensions import override

from app.services import mails
from app.services.mail_kinds import KINDS_WITH_CODE, KindWithCode, Notice
from app.services.mails import RenderedMail, UnsendableMail, compose, deliverable, render
from app.settings import Settings

KINDS: tuple[str, ...] = (*get_args(KindWithCode), *get_args(Notice))
SITE = "https://app.example"
PARAMS = {
    "code": "12345678",
    "token": "the-token_",
    "flow_id": "0198c0de-0000-7000-8000-000000000000",
    "link": "https://app.example/verify",
}
UNDO = {"link": "https://app.example/undo", "token": "the-token_"}
NEWSLETTER = {
    "link": "https://app.example/newsletter",
    "token": "the-token_",
    "consent_text": "Yes, please: <all> of it.",
}
API_KEY = {"key": "Archive <Brest> (…x7Qd)", "scopes": "assets:read, assets:download"}
TITLES = ["Ships [and](https://evil.example) <boats>", "> Dogs & harbour", "A third"]
MATCHES = {
    "total": "7",
    "unsubscribe": f"https://api.example/v1/saved-searches/stop/{'a' * 100}",
    "searches": json.dumps(
        [
            {
                "name": "Harbours",
                "assets": [
                    {"title": title, "url": f"https://app.example/assets/{number}"}
                    for number, title in enumerate(TITLES)
                ],
                "left_out": 4,
                "stop": "https://api.example/v1/saved-searches/stop/a",
            },
            {
                "name": "[Ships](https://evil.example)",
                "assets": [{"title": TITLES[2], "url": "https://app.example/assets/2"}],
                "left_out": 0,
                "stop": "https://api.example/v1/saved-searches/stop/b",
            },
        ]
    ),
}
MAIL_ID = UUID("0198c0de-1111-7000-8000-000000000000")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def params_of(kind: str) -> dict[str, str]:
    if kind in KINDS_WITH_CODE:
        return PARAMS
    if kind.startswith("newsletter_"):
        return NEWSLETTER
    if kind.startswith("webhook_"):
        return {"host": "hooks.example.org", "reason": "failing"}
    if kind.startswith("api_key_"):
        return API_KEY
    if kind == "saved_search_matches":
        return MATCHES
    return UNDO if kind == "email_changed" else {}


def rendered(kind: str, locale: str = "en") -> RenderedMail:
    return render(kind, locale, params_of(kind), site=SITE)


def raw_mail(
    kind: str = "registration_code", locale: str = "en", *, sender: str = "account@media.example"
) -> bytes:
    message = compose(
        rendered(kind, locale),
        mail_id=MAIL_ID,
        sender=sender,
        recipient="ada@example.org",
        now=NOW,
    )
    return message.as_bytes(policy=SMTP)


def composed(kind: str = "registration_code", locale: str = "en", **more: str) -> EmailMessage:
    parsed = message_from_bytes(raw_mail(kind, locale, **more), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


class Paragraphs(HTMLParser):
    """Reads what a person would read in the HTML part, and checks that tags are balanced."""

    VOID = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.read: list[str] = []
        self.links: list[str] = []
        self.language = ""
        self.feed(html)
        self.close()
        assert self.open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.language = dict(attrs).get("lang") or self.language
        self.links += [value or "" for name, value in attrs if name == "href"]

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if "p" in self.open and data.strip():
            self.read.append(data.strip())


# Every mail in every language


@pytest.mark.parametrize("locale", ["en", "fr"])
@pytest.mark.parametrize("kind", KINDS)
def test_text_and_html_say_the_same(kind: str, locale: str) -> None:
    mail = rendered(kind, locale)
    page = Paragraphs(mail.html)
    assert mail.language == page.language == locale
    body, _, _ = mail.text.partition("\n\n-- \n")
    in_text = [line for line in body.splitlines() if line]
    product, *in_html, footer = page.read
    assert product == "Multimedia Account"
    assert [line for line in in_text if line not in page.links] == in_html
    assert [line for line in in_text if line.startswith("https:")] == page.links
    assert footer in mail.text


@pytest.mark.parametrize("kind", KINDS)
def test_each_language_says_it_in_its_own_words(kind: str) -> None:
    english, french = rendered(kind, "en"), rendered(kind, "fr")
    assert english.subject != french.subject
    same = set(english.text.split("\n\n")) & set(french.text.split("\n\n"))
    assert all(line.startswith(("1234", "@app.example", *TITLES)) for line in same)


def test_every_text_exists_in_every_language() -> None:
    files = set(mails._environment.list_templates(extensions=["txt"]))
    wanted = {f"{name}.{locale}.txt" for name in (*KINDS, "footer") for locale in ("en", "fr")}
    assert files == wanted


@pytest.mark.parametrize(
    ("locale", "language"),
    [("fr", "fr"), ("fr-CA", "fr"), ("fr_FR", "fr"), ("FR", "fr"), ("de", "en"), ("", "en")],
)
def test_untranslated_languages_read_english(locale: str, language: str) -> None:
    assert rendered("password_changed", locale).language == language


# Codes and links


@pytest.mark.parametrize("kind", sorted(KINDS_WITH_CODE))
def test_code_is_grouped_in_subject_and_text(kind: str) -> None:
    mail = rendered(kind)
    assert mail.subject.startswith("1234 5678 is your ")
    assert "\n\n1234 5678\n\n" in mail.text
    assert "1234 5678</p>" in mail.html


def test_subject_of_a_registration() -> None:
    assert rendered("registration_code").subject == "1234 5678 is your verification code"
    french = rendered("registration_code", "fr").subject
    assert french == "1234 5678 est votre code de vérification"


@pytest.mark.parametrize("locale", ["en", "fr"])
@pytest.mark.parametrize("kind", sorted(KINDS_WITH_CODE))
def test_last_line_lets_phones_fill_in_the_code(kind: str, locale: str) -> None:
    assert rendered(kind, locale).text.endswith("\n@app.example #12345678\n")


@pytest.mark.parametrize("kind", ["registration_code", "password_reset_code"])
def test_link_carries_the_token_in_the_fragment_and_not_the_flow(kind: str) -> None:
    link = "https://app.example/verify#token=the-token_"
    assert f"\n{link}\n" in rendered(kind).text
    assert Paragraphs(rendered(kind).html).links == [link]


def test_change_of_address_is_confirmed_by_code_alone() -> None:
    """The account itself confirms it, so a link that works on any device would prove too little."""
    assert Paragraphs(rendered("email_change_code").html).links == []


def test_undo_link() -> None:
    assert Paragraphs(rendered("email_changed").html).links == [
        "https://app.example/undo#token=the-token_"
    ]


@pytest.mark.parametrize(
    ("kind", "locale", "words"),
    [
        ("registration_code", "en", "for 30 minutes"),
        ("password_reset_code", "fr", "pendant 30 minutes"),
        ("email_changed", "en", "for 7 days"),
        ("email_changed", "fr", "7\u00a0jours"),
        ("no_account", "en", "once in 24 hours"),
        ("newsletter_confirm", "en", "The link works for 7 days."),
        ("newsletter_confirm", "fr", "au plus une fois en 24\u00a0heures"),
    ],
)
def test_terms_of_the_policy_are_said_in_words(kind: str, locale: str, words: str) -> None:
    assert words in rendered(kind, locale).text


@pytest.mark.parametrize("kind", ["account_exists", "no_account", "email_taken"])
def test_mail_to_an_unproven_address_holds_nothing_that_was_typed(kind: str) -> None:
    typed = {"link": "https://evil.example/", "full_name": "Win a prize"}
    mail = render(kind, "en", typed, site=SITE)
    assert mail == render(kind, "en", {}, site=SITE)
    assert Paragraphs(mail.html).links == [SITE]


def test_missing_value_is_an_error_and_no_gap() -> None:
    with pytest.raises(Exception, match="'code' is undefined"):
        render("registration_code", "en", {}, site=SITE)


# Safety


@pytest.mark.parametrize("name", sorted(PARAMS))
@pytest.mark.parametrize("evil", ["\r\nBcc: eve@x.example", "\n\n> 1", "\x00", "\u2028", "\ud800"])
def test_control_characters_are_refused(name: str, evil: str) -> None:
    with pytest.raises(UnsendableMail):
        render("registration_code", "en", {**PARAMS, name: f"1{evil}"}, site=SITE)


@pytest.mark.parametrize("evil", ["\r\nBcc: eve@x.example", "\n", "\x00"])
def test_recipient_cannot_add_headers(evil: str) -> None:
    with pytest.raises(UnsendableMail):
        compose(
            rendered("password_changed"),
            mail_id=MAIL_ID,
            sender="account@media.example",
            recipient=f"ada@example.org{evil}",
            now=NOW,
        )


def test_values_are_escaped_in_html() -> None:
    evil = {**PARAMS, "code": '<img src="x">'}
    html = render("registration_code", "en", evil, site=SITE).html
    assert "<img" not in html
    assert "&lt;img" in html


# Headers


def test_headers() -> None:
    message = composed()
    assert str(message["From"]) == "Multimedia Account <account@media.example>"
    assert message["To"] == "ada@example.org"
    assert message["Message-ID"] == "<0198c0de-1111-7000-8000-000000000000@media.example>"
    assert message["Date"].datetime == NOW
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["Content-Language"] == "en"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
    ]


def test_mails_that_one_may_not_want_can_be_ended_by_the_mail_program() -> None:
    """RFC 8058; the address stays one word, which a program can read, however long it is."""
    raw = raw_mail("saved_search_matches")
    assert b"\r\nList-Unsubscribe: <%b>\r\n" % MATCHES["unsubscribe"].encode() in raw
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    with_it = [kind for kind in KINDS if composed(kind)["List-Unsubscribe"]]
    assert with_it == ["saved_search_matches"]


@pytest.mark.parametrize(
    "sender", ["account@localhost", "Le fil <a@b.example>", '"Brest, Calais" <a@b.example>']
)
def test_settings_take_a_sender_with_or_without_a_name(sender: str) -> None:
    assert Settings(mail_from=sender).newsletter_sender == sender


@pytest.mark.parametrize(
    "sender", ["Newsroom", "Brest, Calais <a@b.example>", "a@", "@b.example", "a\nb@c.example"]
)
def test_settings_refuse_a_sender_that_no_mail_could_have(sender: str) -> None:
    with pytest.raises(ValueError, match="is no sender such as"):
        Settings(mail_from=sender)
    with pytest.raises(ValueError, match="is no sender such as"):
        Settings(newsletter_from=sender)


def test_settings_refuse_a_host_that_no_header_could_have() -> None:
    with pytest.raises(ValueError, match="must have its host in ASCII, such as xn--"):
        Settings(public_url="https://média.example")


def test_sender_may_have_a_name_of_its_own() -> None:
    message = composed("password_changed", sender="Newsroom <account@media.example>")
    assert str(message["From"]) == "Newsroom <account@media.example>"
    assert message["Message-ID"].endswith("@media.example>")


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_pass_every_server(kind: str) -> None:
    """ASCII with lines of at most 998 octets, since not every server takes 8BITMIME."""
    raw = raw_mail(kind, "fr")
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert composed(kind, "fr")["Subject"] == rendered(kind, "fr").subject


def test_html_reads_well_in_the_dark_and_calls_nobody() -> None:
    html = rendered("registration_code").html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "prefers-color-scheme: dark" in html
    assert not re.findall(r"<(img|script|link|iframe)|@import|url\(", html)


@pytest.mark.parametrize(
    ("typed", "ascii_domain"),
    [
        ("ada@example.org", "ada@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("root@localhost", "root@localhost"),
        ("broken@-.example", "broken@-.example"),
    ],
)
def test_domains_outside_ascii_need_no_smtputf8(typed: str, ascii_domain: str) -> None:
    assert deliverable(typed) == ascii_domain


# Saved searches


def test_new_matches_are_listed_under_their_searches() -> None:
    mail = rendered("saved_search_matches")
    assert mail.subject == "7 new matches for your saved searches"
    assert Paragraphs(mail.html).links == [
        *(f"https://app.example/assets/{number}" for number in range(3)),
        "https://api.example/v1/saved-searches/stop/a",
        "https://app.example/assets/2",
        "https://api.example/v1/saved-searches/stop/b",
    ]
    assert [title for title in TITLES if f"\n\n{title}\nhttps://app" in mail.text] == TITLES
    assert mail.text.count("And 4 more,") == 1
    assert "at most once in 15 minutes." in mail.text
    assert "\n\n\n" not in mail.text
    assert "Preview" not in mail.text


def test_one_new_match_is_spoken_of_as_one() -> None:
    one = {**MATCHES, "total": "1"}
    subjects = [
        render("saved_search_matches", locale, one, site=SITE).subject for locale in ("en", "fr")
    ]
    assert subjects == [
        "1 new match for your saved searches",
        "1 nouveau résultat pour vos recherches enregistrées",
    ]
