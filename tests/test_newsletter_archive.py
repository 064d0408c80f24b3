"""Sent editions as everybody reads them: a list, two feeds, and a page of each."""

from datetime import timedelta
from typing import Any

import feedparser
import httpx
import pytest
from fastapi import FastAPI
from lxml import html as lxml_html

from tests.edition_desk import create, done, send, take
from tests.factories import publish_story
from tests.helpers import Api, Clock

ARCHIVE = "/v1/newsletter/archive"
HERE = "http://127.0.0.1:8000"


def both(subject: str, french: str | None = None, body: str = "Ahoy & <b>hello</b>.") -> Any:
    texts = {"en": {"subject": subject, "preheader": f"About {subject}", "body": body}}
    if french:
        texts["fr"] = {"subject": french, "preheader": "", "body": f"Bonjour : {body}"}
        del texts["fr"]["preheader"]
    return texts


async def listed(client: httpx.AsyncClient, **query: str) -> list[str]:
    response = await client.get(ARCHIVE, params=query)
    assert response.status_code == 200, response.text
    return [item["subject"] for item in response.json()["items"]]


async def test_archive_has_what_began_to_be_sent_and_nothing_else(
    desk: Api, client: httpx.AsyncClient, clock: Clock
) -> None:
    await create(desk, translations=both("A draft"))
    later = (clock.now + timedelta(hours=1)).isoformat()
    scheduled = await create(desk, translations=both("Scheduled"))
    await done(await take(desk, scheduled, "schedule", send_at=later))
    kept_out = await send(desk, translations=both("Kept out"), in_archive=False)
    await done(await take(desk, kept_out, "cancel"))
    cancelled = await send(desk, translations=both("Cancelled"))
    assert await listed(client) == ["Cancelled"]
    await done(await take(desk, cancelled, "cancel"))
    clock.now += timedelta(minutes=1)
    paused = await send(desk, translations=both("Paused"))
    await done(await take(desk, paused, "pause"))
    clock.now += timedelta(minutes=1)
    sent = await send(desk, translations=both("Sending", "En route"))
    assert await listed(client) == ["Sending", "Paused"]
    assert await listed(client, language="fr") == ["En route", "Paused"]

    response = await client.get(ARCHIVE, params={"language": "fr", "limit": 1})
    page = response.json()
    assert page["items"] == [
        {
            "number": sent["number"],
            "subject": "En route",
            "preheader": "",
            "language": "fr",
            "published_at": "2026-11-23T12:02:00Z",
            "url": f"{HERE}{ARCHIVE}/{sent['number']}?language=fr",
        }
    ]
    assert 'rel="next"' in response.headers["link"]
    assert await listed(client, language="fr", limit="1", cursor=page["next_cursor"]) == ["Paused"]
    other = await client.get(ARCHIVE, params={"cursor": page["next_cursor"]})
    assert other.json()["code"] == "invalid_cursor", "it belongs to another list"
    # Mails that had left by then link to it.
    for media_type in ("application/json", "text/html"):
        address, accept = f"{ARCHIVE}/{cancelled['number']}", {"Accept": media_type}
        response = await client.get(address, headers=accept)
        assert (response.status_code, "Cancelled" in response.text) == (200, True)
    for kind in ("atom", "json"):
        assert "Cancelled" not in (await client.get(f"{ARCHIVE}.{kind}")).text
    for absent in (scheduled, kept_out):
        assert (await client.get(f"{ARCHIVE}/{absent['number']}")).status_code == 404
    assert (await client.get(f"{ARCHIVE}/9223372036854775807")).status_code == 404
    assert (await client.get(f"{ARCHIVE}/9223372036854775808")).status_code == 422


async def test_page_of_an_edition_is_for_browsers_and_programs(
    desk: Api, client: httpx.AsyncClient, app: FastAPI
) -> None:
    await publish_story(app, "a-story", title="A <story>")
    texts = both("Ships & <boats>", "Navires", body="Ahoy.\n\n::asset[a-story]\n\n@@unsubscribe@@")
    sent = await send(desk, translations=texts)
    address = f"{ARCHIVE}/{sent['number']}"
    response = await client.get(address, headers={"Accept": "text/html,*/*;q=0.8"})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "public, no-cache"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    # The browser app shows it in a frame.
    framed_by = response.headers["content-security-policy"].partition("frame-ancestors ")[2]
    assert framed_by == "'self' http://127.0.0.1:8000 https://portal.example"
    assert "x-frame-options" not in response.headers
    assert "Accept" in response.headers["vary"]
    page = lxml_html.fromstring(response.text)
    assert page.xpath("string(//title)") == "Ships & <boats> \N{EN DASH} Multimedia Account"
    assert page.xpath("string(//h1)") == "Ships & <boats>"
    assert page.xpath("//div[@class='asset']//h3/a/@href") == [f"{HERE}/assets/a-story"]
    assert page.xpath("//a[@hreflang]/@href") == ["?language=fr"]
    assert page.xpath("//link[@rel='alternate']/@href") == [f"{HERE}{ARCHIVE}.atom"]
    assert "token" not in response.text
    assert page.xpath("//a[contains(@href, 'unsubscribe')]") == []

    known = {"If-None-Match": response.headers["etag"]}
    assert (await client.get(address, headers=known)).status_code == 304
    french = await client.get(address, params={"language": "fr"}, headers=known)
    assert french.status_code == 200
    assert '<html lang="fr"' in french.text

    plain = await client.get(address, headers={"Accept": "text/plain"})
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert plain.text.startswith("Ships & <boats>\n\nAhoy.\n\nA <story>\n")
    found = (await client.get(address, headers={"Accept": "application/json"})).json()
    assert found["languages"] == ["en", "fr"]
    assert found["html"] in response.text
    refused = await client.get(address, headers={"Accept": "image/png"})
    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("kind", ["atom", "json"])
async def test_feeds_hold_whole_editions_newest_first(
    desk: Api, client: httpx.AsyncClient, clock: Clock, kind: str
) -> None:
    for subject in ("First", "Second & <last>"):
        await send(desk, translations=both(subject))
        clock.now += timedelta(minutes=1)
    response = await client.get(f"{ARCHIVE}.{kind}", params={"limit": 1})
    assert response.headers["cache-control"] == "public, no-cache"
    known = {"If-None-Match": response.headers["etag"]}
    again = await client.get(f"{ARCHIVE}.{kind}", params={"limit": 1}, headers=known)
    assert again.status_code == 304
    if kind == "atom":
        assert response.headers["content-type"] == "application/atom+xml"
        feed = feedparser.parse(response.content, sanitize_html=False)
        assert not feed.bozo
        [entry] = feed.entries
        title, published, content = entry.title, entry.published, entry.content[0]["value"]
        assert feed.feed.title == "Multimedia Account"
        assert feed.feed.updated == published
        assert entry.id.startswith("urn:uuid:")
        assert entry.links[0]["href"].startswith(f"{HERE}{ARCHIVE}/")
        next_url = {link.rel: link.href for link in feed.feed.links}["next"]
    else:
        assert response.headers["content-type"] == "application/feed+json"
        page = response.json()
        assert page["version"] == "https://jsonfeed.org/version/1.1"
        [item] = page["items"]
        assert item["summary"] == "About Second & <last>"
        assert item["language"] == "en"
        assert item["url"].startswith(f"{HERE}{ARCHIVE}/")
        title, published = item["title"], item["date_published"]
        content, next_url = item["content_html"], page["next_url"]
    assert title == "Second & <last>"
    assert published == "2026-11-23T12:01:00Z"
    assert content.strip() == "<p>Ahoy &amp; <b>hello</b>.</p>"
    assert "First" in (await client.get(next_url)).text


async def test_feeds_of_an_empty_archive_are_valid(client: httpx.AsyncClient) -> None:
    feed = feedparser.parse((await client.get(f"{ARCHIVE}.atom")).content)
    assert (feed.bozo, feed.entries) == (False, [])
    assert (await client.get(f"{ARCHIVE}.json")).json()["items"] == []
