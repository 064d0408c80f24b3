"""The inbox of development: what it shows, and to whom."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.adapters import mail_catcher
from app.main import create_app
from app.settings import Settings
from tests.helpers import Api

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def local(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client on this host; every other one comes from a network of its own."""
    async with Api(app, network="127.0.0.1") as client:
        yield client


@pytest.fixture
def inbox(settings: Settings) -> Path:
    folder = settings.data_dir / "mail"
    folder.mkdir()
    return folder


def catch(inbox: Path, to: str, subject: str, *, text: str = "Hello", html: str = "") -> None:
    message = EmailMessage()
    message["To"], message["Subject"] = to, subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    mail_catcher._store(inbox, to, message.as_bytes())


async def test_mails_are_listed_as_json_newest_first(local: httpx.AsyncClient, inbox: Path) -> None:
    catch(inbox, "jane@example.org", "First")
    catch(inbox, "john@example.org", "Second", text="Your code", html="<p>Your code</p>")
    response = await local.get("/dev/mail")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    second, first = response.json()["items"]
    assert set(first) == {"id", "to", "subject", "text", "html", "headers", "received_at"}
    assert (first["to"], first["subject"], first["html"]) == ("jane@example.org", "First", None)
    assert (second["text"].strip(), second["html"].strip()) == ("Your code", "<p>Your code</p>")
    assert second["headers"]["Subject"] == "Second"
    assert second["received_at"].endswith("Z")


async def test_mails_may_be_those_of_one_address(local: httpx.AsyncClient, inbox: Path) -> None:
    catch(inbox, "jane@example.org", "Hers")
    catch(inbox, "john@example.org", "His")
    catch(inbox, "jane+tag@example.org", "Not hers")
    for address in ("jane@example.org", "Jane@Example.org"):
        items = (await local.get("/dev/mail", params={"to": address})).json()["items"]
        assert [item["subject"] for item in items] == ["Hers"]
    assert (await local.get("/dev/mail?to=nobody@example.org")).json() == {"items": []}


async def test_empty_inbox_is_an_empty_list(local: httpx.AsyncClient) -> None:
    assert (await local.get("/dev/mail")).json() == {"items": []}
    assert "No mail has been caught yet" in (await local.get("/dev/mail", headers=HTML)).text


async def test_browser_sees_a_page_on_which_no_mail_can_do_anything(
    local: httpx.AsyncClient, inbox: Path
) -> None:
    evil = "<script>alert(1)</script>"
    catch(inbox, "jane@example.org", evil, text=evil, html=f'<b>"bold"</b>{evil}')
    response = await local.get("/dev/mail", headers=HTML)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in response.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in response.text
    assert "<iframe sandbox srcdoc=" in response.text
    assert '"bold"' not in response.text
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


async def test_other_machines_find_no_inbox(client: httpx.AsyncClient, inbox: Path) -> None:
    catch(inbox, "jane@example.org", "First")
    for path in ("/dev/mail", "/dev/mail?to=jane@example.org"):
        response = await client.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    forged = {"X-Forwarded-For": "127.0.0.1"}
    assert (await client.get("/dev/mail", headers=forged)).status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("media.example", 404),  # our own name, which a stranger's DNS may also point here
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
    ],
)
async def test_pages_of_other_names_find_no_inbox(
    app: FastAPI, settings: Settings, host: str, status: int
) -> None:
    named = settings.model_copy(update={"public_url": "https://media.example"})
    other = create_app(named)
    other.state._state.update(app.state._state | {"settings": named})
    async with Api(other, network="127.0.0.1") as local:
        response = await local.get("/dev/mail", headers={"Host": host})
    assert response.status_code == status


async def test_production_has_no_inbox(app: FastAPI, tmp_path: Path) -> None:
    settings = Settings(
        environment="production",
        data_dir=tmp_path,
        database_url="postgresql:///never-used",
        smtp_url=SecretStr("smtp://127.0.0.1:1"),
        mail_from="account@media.example",
        storage_url=SecretStr("file:///never-used"),
        secret_key=SecretStr("0123456789abcdefghijklmnopqrstuvwxyz"),
        public_url="https://media.example",
    )
    production = create_app(settings)
    production.state._state.update(app.state._state | {"settings": settings})
    async with Api(production, network="127.0.0.1") as local:
        response = await local.get("/dev/mail", headers={"Host": "media.example"})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        listed = await local.get("/v1/assets", headers={"Host": "media.example"})
        assert listed.status_code == 200


async def test_inbox_is_no_part_of_the_contract(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert not [path for path in document["paths"] if path.startswith("/dev")]
