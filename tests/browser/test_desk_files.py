"""Files at the desk arrive whole whatever happens, and say what is wrong with them."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.browser.conftest import PATIENCE, Site, log_in
from tests.browser.desk import EDITOR, make, open_desk, save, token
from tests.browser.line import Line, far_page, line
from tests.media_files import atom, write_video

__all__ = ["far_page", "line", "token"]

pytestmark = pytest.mark.slow

# Bytes: large enough to be cut in the middle at SLOW bytes a second.
PADDING = 8_000_000
SLOW = 1_000_000

READS_UNTIL_TOLD = """
    const told = new Promise((resolve) => { window.goOnReading = resolve; });
    const { digest } = SubtleCrypto.prototype;
    SubtleCrypto.prototype.digest = async function (...given) {
      await told;
      return digest.apply(this, given);
    };
"""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Real pictures, and enough beside them to take a while."""
    path = write_video(tmp_path / "harbour_approach.mp4", pictures=50)
    path.write_bytes(path.read_bytes() + atom(b"free", os.urandom(PADDING)))
    return path


async def percent_passes(page: Page, least: int) -> None:
    row = page.locator(".master-file[data-state=sending]")
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


def renditions(site: Site, token: str, page: Page) -> list[dict[str, Any]]:
    """The files of the asset on the page, as the API has them."""
    path = f"/v1/assets/{page.url.rpartition('/')[2]}/renditions"
    items: list[dict[str, Any]] = site.call("GET", path, token)["items"]
    return items


def move(path: Path) -> Path:
    return path.rename(path.with_name("moved.mp4"))


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_file_that_is_cut_paused_and_reloaded_arrives_whole(
    site: Site, token: str, far_page: Page, line: Line, video: Path
) -> None:
    page = far_page
    await log_in(page, EDITOR)
    offsets = offsets_sent(page)
    await page.goto("/desk")
    await page.get_by_role("link", name="New asset").click()
    line.speed = SLOW
    await page.get_by_label("Drop files here").set_input_files(video)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Harbour approach")

    await percent_passes(page, 10)
    line.cut()
    await expect(page.get_by_text("The connection is down; it goes on by itself")).to_be_visible()
    before = len(offsets)
    line.mend()
    await percent_passes(page, 25)
    while len(offsets) == before:  # on a busy machine 25 % had come before the cut
        await page.wait_for_timeout(50)
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
    await expect(page.locator(".master-file[data-state=ready]")).to_be_visible(timeout=3 * PATIENCE)
    assert offsets[-1] > PADDING // 10
    [file] = renditions(site, token, page)
    assert (file["name"], file["purpose"], file["sha256"]) == ("master", "master", hash_of(video))


async def test_upload_waits_for_its_editor_while_another_uses_the_same_browser(
    site: Site, token: str, far_page: Page, line: Line, video: Path
) -> None:
    page, other = far_page, "second-desk@example.org"
    site.make_admin(other)
    await log_in(page, EDITOR)
    asset = make(site, token, "Shared", type="video")
    await open_desk(page, asset)
    line.speed = SLOW
    await page.get_by_label("Drop files here").set_input_files(video)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await percent_passes(page, 10)
    page.on("dialog", lambda dialog: dialog.accept())  # the page asks before it goes
    waiting = page.locator(".master-file").filter(has_text="harbour_approach.mp4")
    for address in (other, EDITOR):
        await page.get_by_label("Your account: ").click()
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_role("banner").get_by_role("link", name="Register").wait_for()
        line.speed = None
        await log_in(page, address)
        await open_desk(page, asset)
        if address == other:
            await page.wait_for_timeout(1000)  # it would ask for what there is
            await expect(waiting).to_have_count(0)
    await expect(waiting).to_contain_text(re.compile("Choose the same file to go on at [1-9]"))


async def test_file_that_is_lost_on_the_way_can_be_chosen_again(
    site: Site, token: str, far_page: Page, line: Line, video: Path
) -> None:
    page = far_page
    await log_in(page, EDITOR)
    await open_desk(page, make(site, token, "Lost", type="video"))
    line.speed = SLOW
    await page.get_by_label("Drop files here").set_input_files(video)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await percent_passes(page, 10)
    moved = move(video)
    line.cut()
    await expect(page.get_by_role("alert")).to_contain_text("moved, deleted or changed")
    line.mend()
    line.speed = None
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Choose the file again harbour_approach.mp4").click()
    await (await choosing.value).set_files(moved)
    await expect(page.locator(".master-file[data-state=ready]")).to_be_visible(timeout=3 * PATIENCE)
    [file] = renditions(site, token, page)
    assert file["sha256"] == hash_of(moved)


async def test_asset_whose_making_failed_is_made_once_with_its_file_once(
    site: Site, token: str, page: Page, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "second_try.mp4", pictures=5)
    tries: list[str | None] = []

    async def lose_the_first_answer(route: Route) -> None:
        tries.append(route.request.headers.get("idempotency-key"))
        answer = await route.fetch()
        await (route.fulfill(response=answer) if len(tries) > 1 else route.fulfill(status=502))

    await log_in(page, EDITOR)
    await page.goto("/desk/assets/new")
    await page.route("**/v1/assets", lose_the_first_answer)
    await page.get_by_label("Drop files here").set_input_files(clip)
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("Drop files here").set_input_files(clip)
    await expect(page.locator(".master-file[data-state=ready]")).to_be_visible(timeout=3 * PATIENCE)
    assert [each["name"] for each in renditions(site, token, page)] == ["master"]
    assert tries[0] is not None
    assert tries == [tries[0]] * 2


async def test_upload_that_is_given_up_while_it_is_read_sends_nothing(
    site: Site, token: str, page: Page, tmp_path: Path
) -> None:
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.url) if "/v1/uploads" in each.url else None)
    page.on("dialog", lambda dialog: dialog.accept())
    await page.add_init_script(READS_UNTIL_TOLD)
    await log_in(page, EDITOR)
    await open_desk(page, make(site, token, "Given up", type="video"))
    await page.get_by_label("Drop files here").set_input_files(
        write_video(tmp_path / "clip.mp4", pictures=5)
    )
    await page.get_by_role("button", name="Upload", exact=True).click()
    await page.get_by_text("Reading the file").wait_for()
    await page.get_by_role("button", name="Cancel clip.mp4").click()
    await page.evaluate("goOnReading()")
    await page.wait_for_timeout(500)
    assert sent == []


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
