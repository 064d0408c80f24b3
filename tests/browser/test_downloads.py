"""Downloads of a real browser: into a file that goes on after a cut, or by the browser itself."""

import hashlib
import json
from pathlib import Path

import pytest
from playwright.async_api import Dialog, Page, Request, expect

from tests.browser.conftest import PATIENCE, Site, log_in
from tests.browser.line import Line, far_page, line
from tests.helpers import PASSWORD

__all__ = ["far_page", "line"]

pytestmark = pytest.mark.slow

EMAIL = "downloads@example.org"
CARD = "/assets/line-up-card-1080p50"
NAME = "1080p50"
# A dialog that tests can't see is replaced; all else is as it is, down to the disk.
CHOOSES_A_FILE = """
    window.showSaveFilePicker = async ({ suggestedName }) => {
      const folder = await navigator.storage.getDirectory();
      return folder.getFileHandle(suggestedName, { create: true });
    };
"""
CHOOSES_NONE = "delete window.showSaveFilePicker;"
WHAT_WAS_SAVED = """async (name) => {
  const folder = await navigator.storage.getDirectory();
  const file = await (await folder.getFileHandle(name)).getFile();
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}"""
SLOW = 20_000  # bytes per second: twenty seconds for the file


@pytest.fixture(scope="module", autouse=True)
def account(site: Site) -> None:
    site.sign_up(EMAIL)


async def open_card(page: Page, files: str) -> None:
    await page.add_init_script(files)
    await log_in(page, EMAIL)
    await page.goto(CARD)


async def begin_slowly(page: Page, line: Line) -> None:
    """As far as some bytes have arrived and many have not."""
    await open_card(page, CHOOSES_A_FILE)
    line.speed = SLOW
    await page.get_by_role("button", name=f"Download: {NAME}").click()
    await page.wait_for_function("() => document.querySelector('progress')?.value > 20_000")


def expected_hash(site: Site) -> str:
    (rendition,) = site.call("GET", f"/v1{CARD}")["renditions"]
    sha256: str = rendition["sha256"]
    return sha256


async def test_download_outlives_a_cut_line_and_is_the_file_that_was_promised(
    far_page: Page, line: Line, site: Site
) -> None:
    page = far_page
    asked: list[Request] = []
    page.on("request", lambda each: asked.append(each) if "/v1/files/" in each.url else None)
    await begin_slowly(page, line)
    line.cut()
    await expect(page.get_by_text("The connection was interrupted.")).to_be_visible()
    line.speed = None
    line.mend()
    await expect(page.get_by_text("Downloaded and checked.")).to_be_visible(timeout=PATIENCE)
    first, *later = [await each.all_headers() for each in asked]
    assert "range" not in first
    assert later[-1]["range"] not in ("bytes=0-", None)
    assert later[-1]["if-range"] == f'"{expected_hash(site)}"'
    saved = await page.evaluate(WHAT_WAS_SAVED, "line-up-card-1080p50.mp4")
    assert saved == expected_hash(site)


async def begin_and_pause(page: Page, line: Line) -> None:
    await begin_slowly(page, line)
    await page.get_by_role("button", name=f"Pause: {NAME}").click()
    await expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    line.speed = None


async def test_paused_download_goes_on_after_a_reload(
    far_page: Page, line: Line, site: Site
) -> None:
    page = far_page
    await begin_and_pause(page, line)
    await page.reload()
    go_on = page.get_by_role("button", name="Continue (")
    await expect(go_on).not_to_have_text("Continue (0%)")
    await go_on.click()
    await expect(page.get_by_text("Downloaded and checked.")).to_be_visible(timeout=PATIENCE)
    saved = await page.evaluate(WHAT_WAS_SAVED, "line-up-card-1080p50.mp4")
    assert saved == expected_hash(site)


async def test_next_person_at_the_device_sees_no_download_of_the_one_who_logged_out(
    far_page: Page, line: Line, site: Site
) -> None:
    page = far_page
    await begin_and_pause(page, line)
    await page.get_by_label(f"Your account: {EMAIL}").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()
    count = """() => new Promise((resolve) => {
      indexedDB.open("downloads").onsuccess = ({ target: { result: database } }) => {
        const store = database.transaction("files").objectStore("files");
        store.count().onsuccess = ({ target }) => resolve(target.result);
      };
    })"""
    assert await page.evaluate(count) == 0
    site.sign_up("next-person@example.org")
    await log_in(page, "next-person@example.org")
    await page.goto(CARD)
    await expect(page.get_by_role("button", name=f"Download: {NAME}")).to_be_visible()


async def test_who_logs_out_is_asked_before_a_running_download_stops(
    far_page: Page, line: Line
) -> None:
    page, asked = far_page, []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.dismiss() if len(asked) == 1 else dialog.accept())

    page.on("dialog", answer)
    await begin_slowly(page, line)
    menu = page.get_by_label(f"Your account: {EMAIL}")
    for is_last in (False, True):
        await menu.click()
        await page.get_by_role("button", name="Log out").click()
        banner = page.get_by_role("banner")
        await expect(banner.get_by_role("link", name="Register")).to_be_visible(visible=is_last)
        await expect(menu).to_be_visible(visible=not is_last)
    assert asked == ["A file is on its way, and stops when you log out. Log out all the same?"] * 2


async def test_pressed_twice_is_downloaded_once(page: Page, site: Site) -> None:
    asked: list[Request] = []
    page.on("request", lambda each: asked.append(each) if each.method == "POST" else None)
    await open_card(page, CHOOSES_A_FILE)
    await page.get_by_role("button", name=f"Download: {NAME}").dblclick()
    await expect(page.get_by_text("Downloaded and checked.")).to_be_visible()
    assert len([each for each in asked if each.url.endswith("/downloads")]) == 1
    saved = await page.evaluate(WHAT_WAS_SAVED, "line-up-card-1080p50.mp4")
    assert saved == expected_hash(site)


async def test_two_windows_do_not_write_into_one_file(page: Page) -> None:
    await open_card(page, CHOOSES_A_FILE)
    other = await page.context.new_page()
    await other.add_init_script(CHOOSES_A_FILE)
    await other.goto(CARD)
    await page.route("**/v1/files/**", lambda _: None)  # no answer comes
    async with page.expect_request("**/v1/files/**"):
        await page.get_by_role("button", name=f"Download: {NAME}").click()
    await other.get_by_role("button", name=f"Download: {NAME}").click()
    await expect(other.get_by_text("Another window is downloading this file.")).to_be_visible()


async def test_full_disk_is_told_and_not_tried_again_and_again(page: Page, site: Site) -> None:
    await open_card(page, CHOOSES_A_FILE)
    devtools = await page.context.new_cdp_session(page)
    quota = {"origin": site.url, "quotaSize": 100_000}
    await devtools.send("Storage.overrideQuotaForOrigin", quota)
    await page.get_by_role("button", name=f"Download: {NAME}").click()
    await expect(page.get_by_text("There is not enough room on the disk.")).to_be_visible()


async def test_cancelled_download_leaves_nothing(far_page: Page, line: Line) -> None:
    page = far_page
    await begin_slowly(page, line)
    await page.get_by_role("button", name=f"Cancel: {NAME}").click()
    await expect(page.get_by_role("button", name=f"Download: {NAME}")).to_be_focused()
    names = """async () => {
      const folder = await navigator.storage.getDirectory();
      return Array.fromAsync(folder.keys());
    }"""
    assert await page.evaluate(names) == []
    line.speed = None
    await page.reload()
    await expect(page.get_by_role("button", name=f"Download: {NAME}")).to_be_visible()


async def test_other_browsers_download_by_themselves(
    page: Page, site: Site, tmp_path: Path
) -> None:
    await open_card(page, CHOOSES_NONE)
    async with page.expect_download() as started:
        await page.get_by_role("button", name=f"Download: {NAME}").click()
    download = await started.value
    assert download.suggested_filename == "line-up-card-1080p50.mp4"
    await download.save_as(tmp_path / "card.mp4")
    found = hashlib.sha256((tmp_path / "card.mp4").read_bytes()).hexdigest()
    assert found == expected_hash(site)
    await page.goto("/account/downloads")
    past = page.get_by_role("listitem").filter(has_text=NAME).first
    await expect(past.get_by_role("link")).to_have_attribute("href", CARD)


async def test_collection_gives_a_list_of_all_its_files_with_their_hashes(
    page: Page, site: Site
) -> None:
    await log_in(page, EMAIL)
    await page.goto("/collections/line-up")
    async with page.expect_download() as started:
        await page.get_by_role("button", name="Save the list (JSON)").click()
    path = await (await started.value).path()
    listed = json.loads(path.read_bytes())
    assert expected_hash(site) in {each["sha256"] for each in listed["items"]}


async def test_visitors_are_led_to_log_in_and_back(page: Page) -> None:
    await page.goto(f"{CARD}?t=2")
    await page.get_by_role("link", name="Log in to download").click()
    await page.get_by_label("Email address").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name=f"Download: {NAME}")).to_be_visible()
    await expect(page).to_have_url(f"{CARD}?t=2")


async def test_account_that_has_downloaded_nothing_is_told_so(page: Page, site: Site) -> None:
    site.sign_up("no-downloads@example.org")
    await log_in(page, "no-downloads@example.org")
    await page.goto("/account/downloads")
    await expect(page.get_by_text("What you download is listed here")).to_be_visible()
