import hashlib
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from pydantic import ValidationError
from sqlalchemy import update

from app.db import Database
from app.formats.file_names import content_disposition, safe_name
from app.models import Account, Download
from app.settings import Settings
from tests.factories import Published, add_draft, publish_video, store, withdraw
from tests.helpers import PASSWORD, Clock, Mailbox, bearer, rows, sign_up

PROBLEM = "application/problem+json"
OTHER_HASH = "0" * 64


@pytest.fixture
async def video(app: FastAPI) -> Published:
    return await publish_video(app)


@pytest.fixture
async def session(client: httpx.AsyncClient, mailbox: Mailbox) -> dict[str, str]:
    return bearer(await sign_up(client, mailbox))


@pytest.fixture
async def url(client: httpx.AsyncClient, video: Published, session: dict[str, str]) -> str:
    """A signed URL of the video."""
    return str((await client.post(video.downloads, headers=session)).json()["url"])


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == PROBLEM
    return response.status_code, response.json()["code"]


# The right to a link


async def test_download_needs_an_account(client: httpx.AsyncClient, video: Published) -> None:
    for method, path in (("POST", video.downloads), ("GET", video.downloads.removesuffix("s"))):
        response = await client.request(method, path)
        assert code_of(response) == (401, "login_required")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_download_is_a_link_with_what_a_client_must_know(
    client: httpx.AsyncClient, video: Published, session: dict[str, str]
) -> None:
    response = await client.post(video.downloads, headers=session)
    assert response.status_code == 201
    answer = response.json()
    assert set(answer) == {"url", "expires_at", "filename", "size_bytes", "sha256"}
    assert answer["url"].startswith("http://127.0.0.1:8000/v1/files/")
    assert answer["expires_at"] == "2026-11-23T12:15:00Z"
    assert answer["filename"] == "harbour-exercise.mp4"
    assert answer["size_bytes"] == len(video.contents)
    assert answer["sha256"] == hashlib.sha256(video.contents).hexdigest()
    assert response.headers["cache-control"] == "no-store"


async def test_asset_may_be_named_by_its_slug(
    client: httpx.AsyncClient, video: Published, session: dict[str, str]
) -> None:
    path = f"/v1/assets/{video.slug}/renditions/hd/downloads"
    assert (await client.post(path, headers=session)).status_code == 201


async def test_link_may_come_as_a_redirect(
    client: httpx.AsyncClient, video: Published, session: dict[str, str], database: Database
) -> None:
    response = await client.get(video.downloads.removesuffix("s"), headers=session)
    assert response.status_code == 302
    assert response.headers["cache-control"] == "no-store"
    file = await client.get(response.headers["location"])
    assert file.content == video.contents
    assert len(await rows(database, Download)) == 1


@pytest.mark.parametrize("suffix", ["download", "downloads"])
async def test_what_is_not_there_can_not_be_downloaded(
    client: httpx.AsyncClient,
    app: FastAPI,
    video: Published,
    session: dict[str, str],
    suffix: str,
) -> None:
    draft = await add_draft(app)
    method = "GET" if suffix == "download" else "POST"
    for asset, name in ((video.id, "sd"), (draft, "hd"), ("never-was", "hd")):
        path = f"/v1/assets/{asset}/renditions/{name}/{suffix}"
        response = await client.request(method, path, headers=session)
        assert code_of(response) == (404, "not_found")
    await withdraw(app, video.id, "a legal claim")
    path = f"/v1/assets/{video.id}/renditions/hd/{suffix}"
    response = await client.request(method, path, headers=session)
    assert code_of(response) == (410, "asset_withdrawn")
    assert response.json()["detail"] == "a legal claim"


async def test_each_link_is_recorded_with_its_utc_day(
    client: httpx.AsyncClient,
    video: Published,
    session: dict[str, str],
    database: Database,
    clock: Clock,
) -> None:
    await client.post(video.downloads, headers=session)
    clock.now += timedelta(hours=11, minutes=59, seconds=59)
    session = bearer((await client.post("/v1/auth/login", json=LOGIN)).json())
    await client.post(video.downloads, headers=session)
    clock.now += timedelta(seconds=1)
    await client.post(video.downloads, headers=session)
    recorded = sorted(await rows(database, Download), key=lambda row: row.occurred_at)
    assert [row.day.isoformat() for row in recorded] == ["2026-11-23"] * 2 + ["2026-11-24"]
    assert {row.rendition_id for row in recorded} == {video.rendition_id}
    assert len({row.account_id for row in recorded} - {None}) == 1


LOGIN = {"email": "jane@example.org", "password": PASSWORD}


async def test_refused_download_is_not_recorded(
    client: httpx.AsyncClient, app: FastAPI, session: dict[str, str], database: Database
) -> None:
    draft = await add_draft(app)
    await client.post(f"/v1/assets/{draft}/renditions/hd/downloads", headers=session)
    assert await rows(database, Download) == []


# Serving the file


async def test_link_serves_the_file_without_any_login(
    client: httpx.AsyncClient, url: str, video: Published
) -> None:
    response = await client.get(url)
    assert response.status_code == 200
    assert response.content == video.contents
    assert response.headers["content-length"] == str(len(video.contents))
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == f'"{video.sha256}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "private, no-cache, no-transform"
    assert "content-encoding" not in response.headers
    disposition = response.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="harbour-exercise.mp4"')


async def test_head_gives_the_headers_without_the_file(client: httpx.AsyncClient, url: str) -> None:
    whole, head = await client.get(url), await client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    different = {"x-request-id", "ratelimit"}
    for name in set(whole.headers) - different:
        assert head.headers[name] == whole.headers[name], name
    part = await client.head(url, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.headers["content-length"]) == (206, "10")


@pytest.mark.parametrize(
    ("field", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=5000-5009", 5000, 5010),
        ("bytes=10200-", 10200, 10240),
        ("bytes=10239-", 10239, 10240),
        ("bytes=-40", 10200, 10240),
        ("bytes=-99999", 0, 10240),
        ("bytes=10200-99999", 10200, 10240),
        ("BYTES=1-2", 1, 3),
    ],
)
async def test_one_range_is_served(
    client: httpx.AsyncClient, url: str, video: Published, field: str, start: int, end: int
) -> None:
    response = await client.get(url, headers={"Range": field})
    assert response.status_code == 206
    assert response.content == video.contents[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/10240"
    assert response.headers["content-length"] == str(end - start)
    assert response.headers["etag"] == f'"{video.sha256}"'


@pytest.mark.parametrize("field", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
async def test_range_behind_the_end_is_refused_with_the_size(
    client: httpx.AsyncClient, url: str, field: str
) -> None:
    response = await client.get(url, headers={"Range": field})
    assert code_of(response) == (416, "range_not_satisfiable")
    assert response.headers["content-range"] == "bytes */10240"


@pytest.mark.parametrize(
    "field",
    [
        "bytes=0-9,20-29",
        "bytes=" + ",".join(f"{number}-" for number in range(1000)),
        "bytes=9-5",
        "bytes=a-b",
        "bytes=-",
        "Bytes=-",
        "bytes=0-9-",
        "bytes= 0-9",
        "items=0-9",
        "0-9",
        "bytes=\u00b9-\u00b2",  # superscripts, which are digits too
        "bytes=" + "9" * 30 + "-",
    ],
)
async def test_several_or_malformed_ranges_get_the_whole_file(
    client: httpx.AsyncClient, url: str, video: Published, field: str
) -> None:
    response = await client.get(url, headers=[(b"Range", field.encode("latin-1"))])
    assert response.status_code == 200
    assert response.content == video.contents


async def test_range_is_served_only_of_the_file_that_was_begun(
    client: httpx.AsyncClient, url: str, video: Published
) -> None:
    async def go_on(condition: str) -> int:
        headers = {"Range": "bytes=100-", "If-Range": condition}
        response = await client.get(url, headers=headers)
        assert response.content == video.contents[100 if response.status_code == 206 else 0 :]
        return response.status_code

    tag = f'"{video.sha256}"'
    assert await go_on(tag) == 206
    for other in (f'"{OTHER_HASH}"', f"W/{tag}", "Mon, 23 Nov 2026 09:00:00 GMT", ""):
        assert await go_on(other) == 200, other


async def test_file_that_the_client_has_is_not_sent_again(
    client: httpx.AsyncClient, url: str, video: Published
) -> None:
    headers = {"If-None-Match": f'"{video.sha256}"', "Range": "bytes=0-9"}
    response = await client.get(url, headers=headers)
    assert (response.status_code, response.content) == (304, b"")
    headers = {"If-None-Match": f'"{OTHER_HASH}"'}
    assert (await client.get(url, headers=headers)).status_code == 200


async def test_empty_file_is_served(
    client: httpx.AsyncClient, app: FastAPI, session: dict[str, str]
) -> None:
    empty = await publish_video(app, "empty", contents=b"")
    url = (await client.post(empty.downloads, headers=session)).json()["url"]
    whole = await client.get(url)
    assert (whole.status_code, whole.content, whole.headers["content-length"]) == (200, b"", "0")
    assert code_of(await client.get(url, headers={"Range": "bytes=0-"}))[0] == 416


async def test_large_file_comes_in_one_piece(
    client: httpx.AsyncClient, app: FastAPI, session: dict[str, str]
) -> None:
    contents = hashlib.shake_128(b"large").digest(3 * 1024 * 1024 + 7)
    large = await publish_video(app, "large", contents=contents)
    url = (await client.post(large.downloads, headers=session)).json()["url"]
    assert (await client.get(url)).content == contents
    part = await client.get(url, headers={"Range": "bytes=1000000-2500000"})
    assert part.content == contents[1_000_000:2_500_001]


# How long a link lives


async def test_link_starts_requests_for_fifteen_minutes_and_not_at_them(
    client: httpx.AsyncClient, url: str, clock: Clock
) -> None:
    clock.now += timedelta(minutes=14, seconds=59, microseconds=999_999)
    assert (await client.get(url)).status_code == 200
    clock.now += timedelta(microseconds=1)
    for method in ("GET", "HEAD"):
        assert (await client.request(method, url)).status_code == 403
    assert code_of(await client.get(url)) == (403, "link_expired")


async def test_tampered_link_is_refused(client: httpx.AsyncClient, url: str) -> None:
    _, _, _, ticket, name = urlsplit(url).path.split("/")
    changed = [
        ticket[:position] + ("A" if ticket[position] != "A" else "B") + ticket[position + 1 :]
        for position in range(0, len(ticket) - 1, 7)
    ]
    for forged in (*changed, ticket + "AAAA", ticket[:-4], "x", "é", "=", "A" * len(ticket)):
        response = await client.get(f"/v1/files/{forged}/{name}")
        assert code_of(response) == (403, "link_expired"), forged


async def test_link_dies_with_the_suspension_of_its_account(
    client: httpx.AsyncClient, url: str, database: Database, clock: Clock
) -> None:
    async with database.transaction() as writing:
        await writing.execute(update(Account).values(suspended_at=clock.now))
    assert code_of(await client.get(url)) == (403, "link_expired")


async def test_link_dies_with_its_account(
    client: httpx.AsyncClient, url: str, session: dict[str, str], database: Database
) -> None:
    deleted = await client.request(
        "DELETE", "/v1/account", json={"password": PASSWORD}, headers=session
    )
    assert deleted.status_code == 204
    assert code_of(await client.get(url)) == (403, "link_expired")
    [kept] = await rows(database, Download)  # for the counts, without the person
    assert kept.account_id is None


async def test_link_dies_with_the_withdrawal_of_its_asset(
    client: httpx.AsyncClient, app: FastAPI, url: str, video: Published
) -> None:
    await withdraw(app, video.id, "a legal claim")
    assert code_of(await client.get(url)) == (403, "link_expired")


async def test_right_that_ends_needs_no_worker_to_end_downloads(
    client: httpx.AsyncClient, app: FastAPI, session: dict[str, str], clock: Clock
) -> None:
    ends_at = clock.now + timedelta(minutes=5)
    video = await publish_video(app, "for-a-while", available_until=ends_at)
    url = (await client.post(video.downloads, headers=session)).json()["url"]
    clock.now = ends_at - timedelta(seconds=1)
    assert (await client.get(url)).status_code == 200
    clock.now = ends_at
    assert code_of(await client.get(url)) == (403, "link_expired")
    refused = await client.post(video.downloads, headers=session)
    assert code_of(refused) == (410, "asset_withdrawn")


async def test_ended_session_can_not_ask_for_links(
    client: httpx.AsyncClient, video: Published, mailbox: Mailbox
) -> None:
    tokens = await sign_up(client, mailbox)
    await client.post("/v1/auth/logout", json={"refresh_token": tokens["refresh_token"]})
    response = await client.post(video.downloads, headers=bearer(tokens))
    assert code_of(response) == (401, "invalid_token")


# Faults of the store


async def test_missing_object_is_a_clear_503(
    client: httpx.AsyncClient, app: FastAPI, url: str, video: Published
) -> None:
    (app.state.settings.data_dir / "objects" / video.object_key).unlink()
    for headers in ({}, {"Range": "bytes=0-9"}):
        response = await client.get(url, headers=headers)
        assert code_of(response) == (503, "file_unavailable")
        assert response.headers["retry-after"] == "30"
        assert video.object_key not in response.text


async def test_object_of_another_size_is_never_served(
    client: httpx.AsyncClient, app: FastAPI, url: str, video: Published
) -> None:
    await store(app, video.object_key, video.contents[:-1])
    assert code_of(await client.get(url)) == (503, "file_unavailable")


async def test_no_link_is_given_to_a_missing_object_and_an_alarm_is_raised(
    client: httpx.AsyncClient,
    app: FastAPI,
    video: Published,
    session: dict[str, str],
    database: Database,
) -> None:
    before = alarms()
    await client.post(video.downloads, headers=session)
    assert alarms() == before
    (app.state.settings.data_dir / "objects" / video.object_key).unlink()
    for method, path in (("POST", video.downloads), ("GET", video.downloads.removesuffix("s"))):
        response = await client.request(method, path, headers=session)
        assert code_of(response) == (503, "file_unavailable")
    assert alarms() == before + 2
    assert len(await rows(database, Download)) == 1


def alarms() -> float:
    return REGISTRY.get_sample_value("storage_objects_missing_total") or 0.0


# Behind nginx


@pytest.fixture
def behind_nginx(app: FastAPI, settings: Settings) -> None:
    app.state.settings = settings.model_copy(update={"x_accel_prefix": "/stored/"})


@pytest.mark.usefixtures("behind_nginx")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nginx_is_told_which_file_to_send(
    client: httpx.AsyncClient, url: str, video: Published, method: str
) -> None:
    headers = {"Range": "bytes=99999-", "If-None-Match": f'"{video.sha256}"'}  # for nginx to judge
    response = await client.request(method, url, headers=headers)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["x-accel-redirect"] == f"/stored/{video.object_key}"
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["content-disposition"].startswith("attachment; ")
    assert response.headers["cache-control"] == "private, no-cache, no-transform"
    assert "repr-digest" in response.headers
    assert "etag" not in response.headers


@pytest.mark.usefixtures("behind_nginx")
async def test_our_own_checks_come_before_nginx(
    client: httpx.AsyncClient, app: FastAPI, url: str, video: Published
) -> None:
    await withdraw(app, video.id, "a legal claim")
    response = await client.get(url)
    assert code_of(response) == (403, "link_expired")
    assert "x-accel-redirect" not in response.headers


@pytest.mark.parametrize("prefix", ["stored", "/", "/a/../b", "http://x/y", "/a\r\nb"])
def test_prefix_that_is_no_location_is_refused(prefix: str, settings: Settings) -> None:
    with pytest.raises(ValidationError):
        Settings(data_dir=settings.data_dir, x_accel_prefix=prefix)


# File names


EVIL_NAMES = [
    'a "quoted" name.mp4',
    "back\\slash.mp4",
    "line\r\nSet-Cookie: x=y.mp4",
    "Übung ☂.mp4",
    "../../etc/passwd",
    "C:\\videos\\a.mp4",
    "percent%2Fsign;filename=x.mp4",
    "?query#fragment.mp4",
    "\u202egpj.4pm",
    ".",
    "..",
]


@pytest.mark.parametrize("filename", EVIL_NAMES)
async def test_file_name_can_not_break_out_of_its_header(
    client: httpx.AsyncClient, app: FastAPI, session: dict[str, str], filename: str
) -> None:
    video = await publish_video(app, filename=filename)
    url = (await client.post(video.downloads, headers=session)).json()["url"]
    response = await client.get(url)
    assert (response.status_code, response.content) == (200, video.contents)
    assert "set-cookie" not in response.headers
    disposition = response.headers["content-disposition"]
    assert disposition.isascii()
    assert disposition.isprintable()
    head, plain, extended = disposition.split("; ", 2)
    assert head == "attachment"
    assert not set('\\/:;%"') & set(plain.removeprefix('filename="')[:-1])
    assert extended.startswith("filename*=UTF-8''")
    assert not set('\\/:; "') & set(extended.removeprefix("filename*=UTF-8''"))


@pytest.mark.parametrize(
    ("filename", "plain", "extended"),
    [
        ("Übung 1.mp4", "_bung 1.mp4", "%C3%9Cbung%201.mp4"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("C:\\videos\\a.mp4", "a.mp4", "a.mp4"),
        ("..", "file", "file"),
        ("videos/", "file", "file"),
    ],
)
def test_file_name_is_given_in_ascii_and_in_full_without_folders(
    filename: str, plain: str, extended: str
) -> None:
    assert content_disposition(filename) == (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"
    )


@pytest.mark.parametrize(
    ("filename", "safe"),
    [
        ("Übung ☂ 1.mp4", "Übung ☂ 1.mp4"),
        ("../../etc/passwd", "passwd"),
        ("line\r\nout=/etc/passwd", "passwd"),
        ("line\r\nchecksum=x.mp4", "line__checksum=x.mp4"),
        ("tab\tand\u2028line\u202egpj.mp4", "tab_and_line_gpj.mp4"),
        ('C:a<b>"c|d?e*.mp4', "C_a_b__c_d_e_.mp4"),
        ("..", "file"),
    ],
)
def test_file_name_is_one_name_for_any_tool(filename: str, safe: str) -> None:
    assert safe_name(filename) == safe
