"""An editor's day at the desk: files that arrive whatever happens, words that nobody loses."""

import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ProxySettings, Request, expect

from tests.browser.conftest import PATIENCE, Site, log_in
from tests.browser.line import Line, line_to_server
from tests.helpers import PASSWORD
from tests.media_files import atom, write_video

pytestmark = pytest.mark.slow

EDITOR = "desk@example.org"
# Bytes: large enough to be cut in the middle at SLOW bytes a second.
PADDING = 8_000_000
SLOW = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def editor(site: Site) -> None:
    site.make_admin(EDITOR)


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    body = {"email": EDITOR, "password": PASSWORD}
    return str(site.call("POST", "/v1/auth/login", json=body)["access_token"])


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Real pictures, and enough beside them to take a while."""
    path = write_video(tmp_path / "harbour_approach.mp4", pictures=50)
    path.write_bytes(path.read_bytes() + atom(b"free", os.urandom(PADDING)))
    return path


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with line_to_server() as line:
        yield line


@pytest.fixture
async def page_on_line(browser: Browser, site: Site, line: Line) -> AsyncIterator[Page]:
    """A page whose connection the test can slow down and cut."""
    proxy: ProxySettings = {"server": f"socks5://127.0.0.1:{line.port}", "bypass": "<-loopback>"}
    async with await browser.new_context(
        base_url=site.url, locale="en-GB", proxy=proxy
    ) as context:
        context.set_default_timeout(PATIENCE)
        yield await context.new_page()


def make(site: Site, token: str, title: str, **fields: Any) -> dict[str, Any]:
    body = {"type": "story", "title": title, **fields}
    asset: dict[str, Any] = site.call("POST", "/v1/assets", token, json=body)
    return asset


def patch(site: Site, token: str, asset: dict[str, Any], **fields: Any) -> dict[str, Any]:
    now = site.call("GET", f"/v1/assets/{asset['id']}", token)
    headers = {
        "If-Match": f'"v{now["version"]}"',
        "Content-Type": "application/merge-patch+json",
    }
    path = f"/v1/assets/{asset['id']}"
    changed: dict[str, Any] = site.call("PATCH", path, token, json=fields, headers=headers)
    return changed


async def open_desk(page: Page, asset: dict[str, Any]) -> None:
    await page.goto(f"/desk/assets/{asset['id']}")
    await page.get_by_role("heading", level=1, name=asset["title"]).wait_for()


async def save(page: Page) -> None:
    await page.keyboard.press("Control+s")
    await expect(page.get_by_role("status").filter(has_text="Everything is saved")).to_be_visible()


async def percent_passes(page: Page, least: int) -> None:
    row = page.locator(".file[data-state=sending]")
    for _ in range(PATIENCE // 100):
        found = re.match(r"(\d+) %", await row.locator(".file-progress p").inner_text())
        if found and int(found[1]) >= least:
            return
        await page.wait_for_timeout(100)
    pytest.fail(f"the upload never came to {least} %")


def offsets_sent(page: Page) -> list[int]:
    """From where each body goes on, as the browser says it."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH" and "/v1/uploads/" in request.url:
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return offsets


async def test_file_that_is_cut_paused_and_reloaded_arrives_whole_and_goes_public(  # noqa: PLR0915  # one day
    site: Site, token: str, page_on_line: Page, line: Line, video: Path, browser: Browser
) -> None:
    page = page_on_line
    await log_in(page, EDITOR)
    offsets = offsets_sent(page)
    await page.goto("/desk")
    await page.get_by_role("link", name="New asset").click()
    line.speed = SLOW
    await page.get_by_label("Drop files here").set_input_files(video)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Harbour approach")
    asset_id = page.url.rpartition("/")[2]

    await percent_passes(page, 10)
    line.cut()
    await expect(page.get_by_text("The connection is down; it goes on by itself")).to_be_visible()
    line.mend()
    await percent_passes(page, 25)
    assert offsets[-1] > 0

    await page.get_by_role("button", name="Pause harbour_approach.mp4").click()
    await expect(page.get_by_text("Paused at")).to_be_visible()
    await page.get_by_role("button", name="Go on harbour_approach.mp4").click()
    await percent_passes(page, 45)

    page.once("dialog", lambda dialog: dialog.accept())  # the page asks before it goes
    await page.reload()
    interrupted = page.get_by_text(re.compile("Choose the same file to go on at [1-9]"))
    await expect(interrupted).to_be_visible()
    line.speed = None
    await page.get_by_label("Drop files here").set_input_files(video)
    await expect(page.locator(".file[data-state=ready]")).to_be_visible(timeout=3 * PATIENCE)
    assert offsets[-1] > PADDING // 10
    [file] = site.call("GET", f"/v1/assets/{asset_id}/renditions", token)["items"]
    assert file["sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    assert (file["name"], file["purpose"]) == ("master", "master")

    player = page.locator("#desk-player video")
    await player.evaluate("async (player) => { player.currentTime = 1; }")
    await expect(player).to_have_js_property("currentTime", 1)
    await page.get_by_role("button", name="Add a shot").click()
    await page.get_by_label("What is seen or said, shot 1").fill("Minehunter passes the lighthouse")
    await page.get_by_role("button", name="Take the player’s time: In, shot 1").click()
    await page.get_by_label("Title", exact=True).first.fill("Minehunters enter the harbour")
    await page.get_by_label("Summary").first.fill("Six ships come home.")
    await page.get_by_role("combobox", name="Keywords").fill("harbour,")
    await page.get_by_label("City").fill("Bruges")

    await page.get_by_role("button", name="Publish …").click()
    await page.get_by_role("dialog").get_by_role("button", name="Publish now").click()
    await expect(page.get_by_text("Everybody sees it")).to_be_visible()

    public = site.call("GET", f"/v1/assets/{asset_id}")
    assert public["title"] == "Minehunters enter the harbour"
    assert public["keywords"] == ["harbour"]
    assert public["location"]["city"] == "Bruges"
    assert public["shotlist"][0]["start_ms"] == 1000
    async with await browser.new_context(base_url=site.url) as visit:
        preview = await (await visit.new_page()).request.get(public["preview"]["url"])
        assert preview.ok

    await page.get_by_label("Summary").first.fill("Seven ships come home.")
    await page.get_by_label("What was wrong").fill("The number of ships was wrong")
    await save(page)
    public = site.call("GET", f"/v1/assets/{asset_id}")
    assert public["summary"] == "Seven ships come home."
    assert public["versions"][-1]["note"] == "The number of ships was wrong"

    await page.get_by_role("button", name="Withdraw").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("It shows a person who is at risk")
    await dialog.get_by_role("button", name="Withdraw").click()
    await expect(page.get_by_text("Its address says why")).to_be_visible()
    gone = httpx.get(f"{site.url}/v1/assets/{asset_id}")
    assert (gone.status_code, gone.json()["code"]) == (410, "asset_withdrawn")
    assert "at risk" in gone.text


async def test_two_editors_lose_nothing_and_choose_where_they_differ(
    site: Site, token: str, page: Page
) -> None:
    asset = make(site, token, "Port of call", summary="Before")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_label("Summary").first.fill("Mine")
    await page.get_by_label("City").fill("Ghent")
    patch(site, token, asset, summary="Theirs", headline="Only theirs")
    await page.keyboard.press("Control+s")

    panel = page.get_by_role("region", name="Somebody else has changed the same")
    await expect(panel).to_contain_text("Theirs")
    await expect(page.get_by_label("Headline").first).to_have_value("Only theirs")
    await expect(page.get_by_label("Summary").first).to_have_value("Mine")
    await page.keyboard.press("Control+s")
    await expect(page.get_by_role("alert").filter(has_text="choose")).to_be_visible()
    assert site.call("GET", f"/v1/assets/{asset['id']}", token)["summary"] == "Theirs"

    await panel.get_by_label("Keep mine").check()
    await save(page)
    saved = site.call("GET", f"/v1/assets/{asset['id']}", token)
    assert (saved["summary"], saved["headline"]) == ("Mine", "Only theirs")
    assert saved["location"]["city"] == "Ghent"


async def test_change_of_another_field_is_put_together_without_a_question(
    site: Site, token: str, page: Page
) -> None:
    asset = make(site, token, "Two at once")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_label("Summary").first.fill("Mine")
    patch(site, token, asset, headline="Theirs")
    await save(page)
    saved = site.call("GET", f"/v1/assets/{asset['id']}", token)
    assert (saved["summary"], saved["headline"]) == ("Mine", "Theirs")


async def test_unsaved_words_survive_a_closed_browser(site: Site, token: str, page: Page) -> None:
    asset = make(site, token, "Interrupted")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_label("Summary").first.fill("Half a sentence")
    await expect(page.get_by_role("status").filter(has_text="Not saved: Summary")).to_be_visible()
    await page.close(run_before_unload=False)

    again = await page.context.new_page()
    await open_desk(again, asset)
    await expect(again.get_by_label("Summary").first).to_have_value("Half a sentence")
    await expect(again.get_by_text("were kept in this browser")).to_be_visible()
    again.once("dialog", lambda dialog: dialog.dismiss())
    await again.get_by_role("link", name="Editor’s desk").first.click()
    await expect(again).to_have_url(re.compile(asset["id"]))
    await save(again)
    await again.reload()
    await expect(again.get_by_text("were kept in this browser")).to_be_hidden()
    assert site.call("GET", f"/v1/assets/{asset['id']}", token)["summary"] == "Half a sentence"


async def test_refused_field_says_so_beside_it(site: Site, token: str, page: Page) -> None:
    asset = make(site, token, "Dates")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_label("Filmed from").fill("2026-03-02")
    await page.get_by_label("Filmed to").fill("2026-03-01")
    await page.keyboard.press("Control+s")
    await expect(page.get_by_label("Filmed to")).to_be_focused()
    await expect(page.get_by_label("Filmed to")).to_have_accessible_description(
        "This ends before it starts."
    )
    await page.get_by_label("Filmed to").fill("2026-03-03")
    await save(page)


async def test_scheduled_asset_waits_and_can_go_back(site: Site, token: str, page: Page) -> None:
    asset = make(site, token, "Under embargo")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_role("button", name="Publish …").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Later").check()
    await dialog.get_by_label("Date and time").fill("2099-01-02T10:30")
    await expect(dialog.get_by_text("UTC")).to_be_visible()
    await dialog.get_by_role("button", name="Schedule").click()
    await expect(page.get_by_text("It becomes public")).to_be_visible()
    scheduled = site.call("GET", f"/v1/assets/{asset['id']}", token)
    assert scheduled["status"] == "scheduled"
    await page.goto("/desk?status=scheduled")
    await expect(page.get_by_role("link", name="Under embargo")).to_be_visible()

    await open_desk(page, asset)
    await page.get_by_role("button", name="Back to draft").click()
    await expect(page.get_by_text("Only editors see it.", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Delete draft").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete draft").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Editor’s desk")
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{site.url}/v1/assets/{asset['id']}", headers=headers).status_code == 404


async def test_broken_file_says_why_and_can_be_removed(
    site: Site, token: str, page: Page, tmp_path: Path
) -> None:
    asset = make(site, token, "Broken", type="video")
    broken = tmp_path / "notes.mp4"
    broken.write_bytes(b"These are only words.\n" * 100)
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_label("Drop files here").set_input_files(broken)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await expect(page.get_by_text("This is no video, sound or picture")).to_be_visible(
        timeout=3 * PATIENCE
    )
    await page.get_by_role("button", name="Remove notes.mp4").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("There are no files yet.")).to_be_visible()
    assert site.call("GET", f"/v1/assets/{asset['id']}/renditions", token)["items"] == []


async def test_captions_are_kept_beside_what_is_being_typed(
    site: Site, token: str, page: Page, tmp_path: Path
) -> None:
    asset = make(site, token, "Captioned", type="video")
    wrong, right = tmp_path / "wrong.vtt", tmp_path / "right.srt"
    wrong.write_text("WEBVTT\n\n00:04.000 --> 00:02.000\nBackwards\n")
    right.write_text("1\n00:00:02,000 --> 00:00:04,000\nWe are glad to be back\n")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await page.get_by_label("Summary").first.fill("Not saved yet")
    captions = page.get_by_role("region", name="Captions")
    await captions.locator("summary").click()
    await captions.get_by_label("File", exact=True).set_input_files(wrong)
    await captions.get_by_role("button", name="Add captions").click()
    await expect(captions.get_by_role("alert")).to_contain_text("Line 3")
    await captions.get_by_label("File", exact=True).set_input_files(right)
    await captions.get_by_role("button", name="Add captions").click()
    await expect(captions.get_by_role("listitem")).to_contain_text("English")
    await save(page)
    saved = site.call("GET", f"/v1/assets/{asset['id']}", token)
    assert [each["language"] for each in saved["captions"]] == ["en"]
    assert saved["summary"] == "Not saved yet"


async def test_lists_search_what_is_not_public_too(site: Site, token: str, page: Page) -> None:
    make(site, token, "Élan of the harbour crew")
    make(site, token, "Something else")
    await log_in(page, EDITOR)
    await page.goto("/desk")
    await page.get_by_role("main").get_by_role("searchbox").fill("elan harbour")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="Something else")).to_be_hidden()
    await expect(page.get_by_role("link", name="Élan of the harbour crew")).to_be_visible()


async def test_screens_have_no_accessibility_findings(site: Site, token: str, page: Page) -> None:
    shots = [{"timecode_in": "00:00:01:00", "text": "A ship"}]
    people = [{"name": "Anna Claes", "relation": "heard"}]
    asset = make(site, token, "A" * 200, type="video", shotlist=shots, people=people)
    await log_in(page, EDITOR)
    for path in ("/desk", "/desk/assets/new", f"/desk/assets/{asset['id']}"):
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await page.goto(path)
            await page.get_by_role("heading", level=1).wait_for()
            results = await Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
        await page.set_viewport_size({"width": 320, "height": 640})
        excess = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(excess) <= 0
