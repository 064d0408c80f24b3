"""Kept pages: who gets them, what they look like, and when they are dropped."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import REGISTRY
from starlette.middleware import Middleware
from structlog.testing import capture_logs

from app.http.compression import chosen_coding
from app.http.conditional import not_modified
from app.http.counters import InProcessCounters
from app.http.head import HeadMiddleware
from app.http.page_store import MAX_BYTES, Key, Page, PageStore, document_name
from app.http.rate_limits import RateLimitPolicy
from app.http.stack import StackOptions, middleware_stack
from tests.http_asgi import client_of, http_scope, messages_of
from tests.http_example import noon
from tests.http_wire import CLOSE, HOST, PATIENT_LIMITS, exchange, request, running_server

ID = "0190aaaa-aaaa-7aaa-aaaa-aaaaaaaaaaaa"
ORIGIN = "https://portal.example"
PUBLIC = {"Cache-Control": "public, no-cache", "ETag": '"v1"', "Link": '</next>; rel="next"'}
TEXT = "words that come again " * 50
LIST, DOCUMENT = "/v1/assets?type=video", "/v1/assets/harbour"


class Turning:
    """A clock to turn."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Catalogue:
    """An application in all its layers that counts how often it is asked, and what it is told."""

    def __init__(self, *, quota: int = 10_000) -> None:
        self.clock = Turning()
        self.pages = PageStore(clock=self.clock)
        self.asked: list[str] = []
        self.told: list[dict[str, str]] = []
        self.answer = Response(TEXT, headers=PUBLIC, media_type="application/json")
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        options = StackOptions(
            allowed_hosts=["localhost"],
            cors_origins=[ORIGIN],
            counters=InProcessCounters(),
            clock=noon,
            rate_limit_policies=[RateLimitPolicy("default", quota=quota, window=60)],
            pages=self.pages,
        )
        head = Middleware(HeadMiddleware, answers_head=lambda _: False)
        self.app = FastAPI(middleware=[*middleware_stack(options), head])
        self.app.add_api_route(
            "/{path:path}", self.get, methods=["GET", "POST"], response_model=None
        )

    async def get(self, request: Request, path: str) -> Response:
        self.asked.append(path)
        self.told.append(dict(request.headers))
        answer = self.answer
        await self.may_answer.wait()
        if not_modified(request.headers, answer.headers.get("etag", "")):
            return Response(status_code=304, headers=PUBLIC)
        return answer


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = Catalogue()
    catalogue.pages.vouch(2)
    return catalogue


@pytest.fixture
async def client(catalogue: Catalogue) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(catalogue.app) as client:
        yield client


async def is_kept(catalogue: Catalogue, client: httpx.AsyncClient, url: str, **rest: Any) -> bool:
    """Whether a second request like this one does without the application."""
    method = rest.pop("method", "GET")
    await client.request(method, url, **rest)
    asked = len(catalogue.asked)
    await client.request(method, url, **rest)
    return len(catalogue.asked) == asked


# What is kept


@pytest.mark.parametrize(
    "url",
    [
        LIST,
        DOCUMENT,
        f"/v1/assets/{ID}.jsonld",
        "/v1/assets/harbour/related",
        "/v1/feeds/assets.mrss",
        "/v1/collections",
        "/v1/keywords?limit=5",
        "/oembed?url=x",
        "/sitemap.xml",
    ],
)
async def test_public_answer_is_made_once(
    catalogue: Catalogue, client: httpx.AsyncClient, url: str
) -> None:
    assert await is_kept(catalogue, client, url)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"Range": "bytes=0-9"},
        {"If-Modified-Since": "Mon, 23 Nov 2026 09:00:00 GMT"},
    ],
    ids=str,
)
async def test_request_that_may_get_another_answer_goes_its_whole_way(
    catalogue: Catalogue, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    await client.get(DOCUMENT)
    assert not await is_kept(catalogue, client, DOCUMENT, headers=headers)


@pytest.mark.parametrize(
    "url", ["/v1/account", "/v1/assets/harbour/poster.jpg", "/v1/assets/harbour/preview.mp4", "/"]
)
async def test_other_places_and_files_are_not_kept(
    catalogue: Catalogue, client: httpx.AsyncClient, url: str
) -> None:
    assert not await is_kept(catalogue, client, url)


@pytest.mark.parametrize(
    "answer",
    [
        Response("x", 404, headers=PUBLIC),
        Response("x", 410, headers=PUBLIC),
        Response("x", headers={**PUBLIC, "Cache-Control": "no-store"}),
        Response("x", headers={**PUBLIC, "Cache-Control": "private"}),
        Response("x", headers={"ETag": '"v1"'}),
        Response("x", headers={**PUBLIC, "Set-Cookie": "a=b"}),
        Response(b"x" * (1024 * 1024 + 1), headers=PUBLIC),
    ],
    ids=["404", "410", "secret", "private", "silent", "cookie", "large"],
)
async def test_answer_that_is_not_for_everybody_is_not_kept(
    catalogue: Catalogue, client: httpx.AsyncClient, answer: Response
) -> None:
    catalogue.answer = answer
    response = await client.get(LIST)
    assert (response.status_code, response.content) == (answer.status_code, answer.body)
    assert not await is_kept(catalogue, client, LIST)


async def test_one_mebibyte_is_still_kept(catalogue: Catalogue, client: httpx.AsyncClient) -> None:
    catalogue.answer = Response(b"x" * (1024 * 1024), headers=PUBLIC, media_type="image/x")
    assert await is_kept(catalogue, client, LIST)


async def test_stream_is_handed_on_as_it_comes(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    catalogue.answer = StreamingResponse(pieces(), headers=PUBLIC)
    assert (await client.get(LIST)).text == "one two"
    assert catalogue.pages.get(Key("/v1/assets", b"type=video", b"*/*", b"gzip")) is None


async def test_post_is_never_answered_from_the_cache(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    await client.get(DOCUMENT)
    assert not await is_kept(catalogue, client, DOCUMENT, method="POST")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/v1/assets?type=audio", {}),
        ("/v1/assets", {}),
        (LIST, {"Accept": "application/ld+json"}),
        (LIST, {"Accept-Encoding": "br"}),
    ],
    ids=str,
)
async def test_other_question_gets_an_answer_of_its_own(
    catalogue: Catalogue, client: httpx.AsyncClient, url: str, headers: dict[str, str]
) -> None:
    await client.get(LIST)
    await client.get(url, headers=headers)
    assert len(catalogue.asked) == 2


async def test_spelling_of_accept_makes_no_difference(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    for accept in ("text/html, */*;q=0.8", "text/html,*/*; q=0.8", "TEXT/html,*/*;q=0.8"):
        await client.get(LIST, headers={"Accept": accept})
    assert len(catalogue.asked) == 1


async def test_application_is_shown_nothing_that_others_would_not_send(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    own = {"Cookie": "a=b", "User-Agent": "me", "X-Forwarded-Host": "evil.example", "Accept": "a/b"}
    await client.get(LIST, headers={**own, "If-None-Match": '"old"', "Accept-Encoding": "gzip"})
    assert catalogue.told == [{"accept": "a/b", "accept-encoding": "gzip"}]


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        (b"", b""),
        (b"zstd, br, gzip", b"zstd"),
        (b"gzip, deflate, br", b"br"),
        (b"gzip", b"gzip"),
        (b"GZIP;q=0.5", b"gzip"),
        (b"br;q=0, gzip", b"gzip"),
        (b"br; q=0.000,gzip;q=0.001", b"gzip"),
        (b"*", b"zstd"),
        (b"zstd;q=0, *", b"br"),
        (b"*;q=0", b""),
        (b"identity, deflate", b""),
    ],
)
async def test_coding_is_the_one_that_compression_chooses(
    catalogue: Catalogue, client: httpx.AsyncClient, field: bytes, coding: bytes
) -> None:
    assert chosen_coding(field) == coding
    catalogue.pages.distrust()
    async with client.stream("GET", LIST, headers={b"Accept-Encoding": field}) as response:
        assert response.headers.get("content-encoding", "") == coding.decode()


# What it looks like

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {"headers": {"Accept-Encoding": "identity"}},
    "compressed": {"headers": {"Accept-Encoding": "gzip"}},
    "of our portal": {"headers": {"Origin": ORIGIN}},
    "of a foreign page": {"headers": {"Origin": "https://evil.example"}},
    "with a cookie": {"headers": {"Cookie": "a=b"}},
    "with an id": {"headers": {"X-Request-Id": "request-1"}},
    "head": {"method": "HEAD", "headers": {"Accept-Encoding": "identity"}},
    "known": {"headers": {"If-None-Match": '"v1"'}},
    "known as weak": {"headers": {"If-None-Match": 'W/"v0", W/"v1"', "Origin": ORIGIN}},
    "any": {"headers": {"If-None-Match": "*"}},
    "known in another version": {"headers": {"If-None-Match": '"v0"'}},
}


def comparable(response: httpx.Response, *but: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what is each request's own."""
    fields = [
        (name, ", ".join(sorted(value.split(", "))) if name == "vary" else value)
        for name, value in response.headers.multi_items()
        if name not in {"ratelimit", "date", *but}
    ]
    return response.status_code, sorted(fields), response.content


@pytest.mark.parametrize("case", REQUESTS)
async def test_kept_answer_cannot_be_told_from_another(
    catalogue: Catalogue, client: httpx.AsyncClient, case: str
) -> None:
    sent = {"method": "GET", **REQUESTS[case]}
    own = () if "X-Request-Id" in str(sent) else ("x-request-id",)
    # Without a body, the layers do not come to say that it might have been compressed.
    own = (*own, "vary") if case == "head" or "known" in case or case == "any" else own
    catalogue.pages.distrust()
    by_layers = await client.request(url=DOCUMENT, **sent)
    catalogue.pages.vouch(2)
    with capture_logs() as events:
        filling = await client.request(url=DOCUMENT, **sent)
        await client.request(url=DOCUMENT, **{**sent, "method": "GET"})
        asked = len(catalogue.asked)
        kept = await client.request(url=DOCUMENT, **sent)
    assert len(catalogue.asked) == asked
    assert comparable(filling, *own) == comparable(by_layers, *own)
    assert comparable(kept, *own) == comparable(by_layers, *own)
    assert kept.headers["ratelimit"].startswith('"default";r=999')
    for event in events:
        event.pop("duration_ms")
    assert events[-1] == events[0]
    assert events[0]["route"] == "/{path}"


async def test_kept_answer_is_counted_like_any_other(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    def count(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    route = {"method": "GET", "route": "/{path}"}
    requests = count("http_requests_total", status="2xx", **route)
    seconds = count("http_request_duration_seconds_count", **route)
    hits = count("page_cache_requests_total", outcome="hit")
    assert await is_kept(catalogue, client, DOCUMENT)
    assert count("http_requests_total", status="2xx", **route) == requests + 2
    assert count("http_request_duration_seconds_count", **route) == seconds + 2
    assert count("page_cache_requests_total", outcome="hit") == hits + 1


async def test_ids_of_kept_answers_differ(client: httpx.AsyncClient) -> None:
    ids = [(await client.get(DOCUMENT)).headers["x-request-id"] for _ in range(4)]
    assert len(set(ids)) == 4


async def test_rate_limit_counts_kept_answers() -> None:
    catalogue = Catalogue(quota=3)
    catalogue.pages.vouch(2)
    async with client_of(catalogue.app) as client:
        answers = [await client.get(DOCUMENT) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    remaining = [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers]
    assert remaining == [f'"default";r={left}' for left in (2, 1, 0, 0, 0)]
    assert answers[-1].json()["code"] == "rate_limited"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 400), ({"X-Long": "x" * 20_000}, 431)],
    ids=["host", "headers"],
)
async def test_limits_hold_for_kept_answers(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    assert (await client.get(DOCUMENT)).status_code == 200
    assert (await client.get(DOCUMENT, headers=headers)).status_code == status


def test_whole_answer_is_the_same_on_the_wire() -> None:
    """Our own server writes kept pages at one go, past its loop over the headers."""
    catalogue = Catalogue()
    catalogue.pages.vouch(60)
    get = request(f"GET {DOCUMENT}", HOST, "Accept-Encoding: gzip")
    last = request(f"GET {DOCUMENT}", HOST, "Accept-Encoding: gzip", CLOSE)
    known = request(f"GET {DOCUMENT}", HOST, "Accept-Encoding: gzip", 'If-None-Match: "v1"')
    with running_server(catalogue.app, limits=PATIENT_LIMITS) as port:
        answers = exchange(port, [get + get + known + last])
        [old] = exchange(port, [last.replace(b"HTTP/1.1", b"HTTP/1.0")])
    assert len(catalogue.asked) == 1
    assert [answer.status for answer in answers] == [200, 200, 304, 200]
    filled, kept, not_changed, closing = answers
    assert not_changed.body == b""
    assert gzip.decompress(kept.body) == gzip.decompress(filled.body) == catalogue.answer.body
    own = {"x-request-id", "ratelimit", "date"}  # a second may end between two answers
    assert {name: value for name, value in kept.headers.items() if name not in own} == {
        name: value for name, value in filled.headers.items() if name not in own
    }
    assert closing.headers.pop("connection") == old.headers.pop("connection") == "close"
    assert set(closing.headers) == set(kept.headers) == set(old.headers) == set(filled.headers)


# When it is dropped


@pytest.mark.parametrize(
    ("changed", "url", "stays"),
    [
        (["harbour"], DOCUMENT, False),
        ([ID, "harbour"], f"/v1/assets/{ID}", False),
        ([ID, "harbour"], f"/v1/assets/{ID}.captions.en.vtt", False),
        ([ID, "harbour"], f"/v1/assets/{ID.upper()}", False),
        ([ID, "harbour"], "/v1/assets/bridge", True),
        (["bridge"], f"/v1/assets/{ID.upper()}", False),
        (["bridge"], f"/v1/assets/{ID}", True),
        (["bridge"], LIST, False),
        (["bridge"], "/v1/assets/harbour/related", False),
        (["bridge"], "/v1/feeds/assets.atom", False),
        ([], DOCUMENT, False),
        ([], LIST, False),
    ],
)
async def test_change_drops_its_document_and_every_list(
    catalogue: Catalogue, client: httpx.AsyncClient, changed: list[str], url: str, *, stays: bool
) -> None:
    await client.get(url)
    catalogue.pages.drop(changed)
    await client.get(url)
    assert len(catalogue.asked) == (1 if stays else 2)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/assets/harbour", "harbour"),
        ("/v1/assets/harbour.jsonld", "harbour"),
        (f"/v1/assets/{ID}", ID),
        (f"/v1/assets/{ID}.captions.pt-BR.vtt", ID),
        (f"/v1/assets/{ID.upper()}", None),
        # Also read as that id, though spelt in another way.
        ("/v1/assets/0190aaaaaaaa-7aaa-aaaa-aaaaaaaaaaaa-", None),
        ("/v1/assets", None),
        ("/v1/assets/harbour/related", None),
        ("/v1/collections/harbour", None),
    ],
)
def test_only_a_plain_reference_names_a_document(path: str, name: str | None) -> None:
    assert document_name(path) == name


async def test_what_was_read_before_a_change_is_not_kept(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    catalogue.may_answer.clear()
    reading = asyncio.create_task(client.get(DOCUMENT))
    await eventually_asked(catalogue, 1)
    catalogue.pages.drop(["bridge"])
    catalogue.may_answer.set()
    await reading
    await client.get(DOCUMENT)
    assert len(catalogue.asked) == 2


async def test_nothing_is_given_while_changes_go_unheard(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    await client.get(DOCUMENT)
    catalogue.clock.now += 1.9
    await client.get(DOCUMENT)
    assert len(catalogue.asked) == 1
    catalogue.clock.now += 0.1
    assert not await is_kept(catalogue, client, DOCUMENT)
    catalogue.pages.vouch(2)
    asked = len(catalogue.asked)
    assert await is_kept(catalogue, client, DOCUMENT)
    assert len(catalogue.asked) == asked + 1, "what was kept before was given after a silence"


async def test_what_was_begun_before_a_silence_is_not_kept_after_it(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    catalogue.may_answer.clear()
    reading = asyncio.create_task(client.get(DOCUMENT))
    await eventually_asked(catalogue, 1)
    catalogue.pages.distrust()
    catalogue.pages.vouch(2)
    catalogue.may_answer.set()
    await reading
    await client.get(DOCUMENT)
    assert len(catalogue.asked) == 2


# Many at once


async def eventually_asked(catalogue: Catalogue, count: int) -> None:
    async with asyncio.timeout(60):
        while len(catalogue.asked) < count:  # noqa: ASYNC110  # the application is not to know
            await asyncio.sleep(0)


async def test_stampede_asks_once(catalogue: Catalogue, client: httpx.AsyncClient) -> None:
    catalogue.may_answer.clear()
    requests = [asyncio.create_task(client.get(DOCUMENT)) for _ in range(20)]
    await asyncio.sleep(0.05)
    catalogue.may_answer.set()
    answers = await asyncio.gather(*requests)
    assert len(catalogue.asked) == 1
    assert {answer.text for answer in answers} == {TEXT}
    assert len({answer.headers["x-request-id"] for answer in answers}) == 20


async def test_request_after_a_change_waits_for_no_older_answer(
    catalogue: Catalogue, client: httpx.AsyncClient
) -> None:
    catalogue.may_answer.clear()
    older = asyncio.create_task(client.get(DOCUMENT))
    await eventually_asked(catalogue, 1)
    catalogue.answer = Response("new", headers=PUBLIC)
    catalogue.pages.drop(["harbour"])
    newer = asyncio.create_task(client.get(DOCUMENT))
    await eventually_asked(catalogue, 2)
    catalogue.may_answer.set()
    await older
    assert (await newer).text == "new"
    assert (await client.get(DOCUMENT)).text == "new"
    assert len(catalogue.asked) == 2


async def test_those_who_wait_ask_for_themselves_when_the_first_one_leaves(
    catalogue: Catalogue,
) -> None:
    catalogue.may_answer.clear()
    scope = http_scope(DOCUMENT, headers=[("host", "localhost")])
    tasks = [asyncio.create_task(messages_of(catalogue.app, {**scope})) for _ in range(3)]
    await eventually_asked(catalogue, 1)
    tasks[0].cancel()
    await eventually_asked(catalogue, 3)
    catalogue.may_answer.set()
    for task in tasks[1:]:
        assert (await task)[0]["status"] == 200
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def test_one_who_leaves_takes_no_answer_from_the_others(catalogue: Catalogue) -> None:
    catalogue.may_answer.clear()
    scope = http_scope(DOCUMENT, headers=[("host", "localhost")])
    tasks = [asyncio.create_task(messages_of(catalogue.app, {**scope})) for _ in range(3)]
    await eventually_asked(catalogue, 1)
    await asyncio.sleep(0.02)
    tasks[1].cancel()
    await asyncio.sleep(0.02)
    catalogue.may_answer.set()
    assert (await tasks[0])[0]["status"] == (await tasks[2])[0]["status"] == 200
    assert len(catalogue.asked) == 1


# How much is kept


def key(number: int) -> Key:
    return Key(f"/v1/assets/asset-{number}", b"", b"*/*", b"")


def page(size: int = 1000) -> Page:
    return Page([(b"etag", b'"v1"')], b"x" * size, None)


@pytest.fixture
def small() -> PageStore:
    """Room for three pages of a thousand bytes, which count for 4,072 each."""
    store = PageStore(max_bytes=3 * 4072)
    store.vouch(60)
    return store


def test_bound_is_sixty_four_mebibytes() -> None:
    assert MAX_BYTES == 64 * 1024 * 1024


def test_page_that_was_not_asked_for_longest_goes_first(small: PageStore) -> None:
    for number in range(3):
        small.keep(key(number), page(), generation=0)
    assert small.get(key(0))
    small.keep(key(3), page(), generation=0)
    assert [small.get(key(number)) is not None for number in range(4)] == [True, False, True, True]


def test_bytes_of_what_has_gone_are_free_again(small: PageStore) -> None:
    for round_ in range(5):
        for number in range(3):
            small.keep(key(number), page(), generation=small.generation)
            small.keep(key(number), page(), generation=small.generation)
        assert all(small.get(key(number)) for number in range(3))
        small.drop([f"asset-{number}" for number in range(3)] if round_ % 2 else [])
        assert not any(small.get(key(number)) for number in range(3))


def test_page_of_another_generation_is_not_kept(small: PageStore) -> None:
    small.drop(["asset-9"])
    small.keep(key(0), page(), generation=0)
    assert small.get(key(0)) is None
    small.keep(key(0), page(), generation=1)
    assert small.get(key(0))
