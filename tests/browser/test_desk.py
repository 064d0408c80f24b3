"""An editor's day at the desk: words that nobody loses, and what becomes of them in public."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.conftest import Site, log_in
from tests.browser.desk import DESK, EDITOR, make, open_desk, patch, save, send_file, token
from tests.browser.storage import FULL
from tests.media_files import write_video

__all__ = ["token"]

pytestmark = pytest.mark.slow


def answer_to_visitor(site: Site, asset: dict[str, Any]) -> httpx.Response:
    return httpx.get(f"{site.url}/v1/assets/{asset['id']}")


ROWS = {
    "Add a subject": {"Code": "20000056", "Name": "armed forces"},
    "Add a number": {"Kind of number": "virin", "Number": "261123-N-AB123-1001"},
}


async def describe(page: Page) -> None:
    player = page.locator("#desk-player video")
    await player.evaluate("player => { player.currentTime = 1; }")
    await expect(player).to_have_js_property("currentTime", 1)
    await page.get_by_role("button", name="Add a shot").click()
    await page.get_by_label("What is seen or said, shot 1").fill("Minehunter at the lighthouse")
    await page.get_by_role("button", name=re.compile("time: In, shot 1")).click()
    await page.get_by_label("Title", exact=True).first.fill("Minehunters enter the harbour")
    await page.get_by_label("Summary").first.fill("Six ships come home.")
    await page.get_by_role("combobox", name="Keywords").fill("harbour,")
    await page.get_by_label("City").fill("Bruges")
    await page.get_by_label("Transcript").fill("We are glad to be home.")
    await page.get_by_label("Urgency").select_option("3")
    for button, words in ROWS.items():
        await page.get_by_role("button", name=button).click()
        row = page.get_by_role("group", name=re.compile(r"^(Subjects|Other numbers) 1$")).last
        for label, word in words.items():
            await row.get_by_label(label, exact=True).fill(word)


async def test_video_is_described_published_corrected_and_withdrawn(
    site: Site, token: str, page: Page, tmp_path: Path
) -> None:
    asset = make(site, token, "Working title", type="video")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    await send_file(page, write_video(tmp_path / "harbour.mp4", pictures=50))
    await describe(page)
    await save(page)
    await expect(page.locator("#desk-player video")).to_have_js_property("currentTime", 1)
    await page.get_by_role("button", name="Publish …").click()
    await page.get_by_role("dialog").get_by_role("button", name="Publish now").click()
    await expect(page.get_by_text("Everybody sees it")).to_be_visible()
    public = site.call("GET", f"/v1/assets/{asset['id']}")
    assert public["title"] == "Minehunters enter the harbour"
    assert (public["keywords"], public["location"]["city"]) == (["harbour"], "Bruges")
    assert public["shotlist"][0]["start_ms"] == 1000
    assert (public["transcript"], public["urgency"]) == ("We are glad to be home.", 3)
    assert public["subjects"] == [{"scheme": "medtop", "code": "20000056", "name": "armed forces"}]
    assert public["alternative_ids"] == [{"role": "virin", "value": "261123-N-AB123-1001"}]
    assert public["preview"]["media_type"] == "video/mp4"

    await page.get_by_label("Summary").first.fill("Seven ships come home.")
    await page.get_by_label("What was wrong").fill("The number of ships was wrong")
    await save(page)
    public = site.call("GET", f"/v1/assets/{asset['id']}")
    assert public["summary"] == "Seven ships come home."
    assert public["versions"][-1]["note"] == "The number of ships was wrong"

    await page.get_by_role("button", name="Withdraw").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("It shows a person who is at risk")
    await dialog.get_by_role("button", name="Withdraw").click()
    await expect(page.get_by_text("Its address says why")).to_be_visible()
    gone = answer_to_visitor(site, asset)
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

    await page.get_by_label("Summary").first.fill("Mine, and what was good of theirs")
    await panel.get_by_label("Keep mine").check()
    await save(page)
    saved = site.call("GET", f"/v1/assets/{asset['id']}", token)
    assert saved["summary"] == "Mine, and what was good of theirs"
    assert saved["headline"] == "Only theirs"
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


async def test_what_was_changed_meanwhile_is_seen_before_it_is_published(
    site: Site, token: str, page: Page
) -> None:
    asset = make(site, token, "Not as it was", summary="Before", body="Words")
    await log_in(page, EDITOR)
    await open_desk(page, asset)
    patch(site, token, asset, headline="Theirs")
    await page.get_by_role("button", name="Publish …").click()
    publish = page.get_by_role("dialog").get_by_role("button", name="Publish now")
    await publish.click()
    await expect(page.get_by_role("alert").filter(has_text="Somebody else")).to_be_visible()
    await expect(page.get_by_label("Headline").first).to_have_value("Theirs")
    await publish.click()
    await expect(page.get_by_role("link", name="Open its page")).to_be_visible()


async def test_where_nothing_can_be_kept_its_editor_hears_so_once(
    site: Site, token: str, page: Page
) -> None:
    asset = make(site, token, "No room")
    await log_in(page, EDITOR)
    await page.add_init_script(FULL)
    await open_desk(page, asset)
    note = page.get_by_role("main").get_by_text(re.compile("This device can.t keep"))
    await page.get_by_label("Summary").first.fill("Not kept")
    await expect(note).to_be_visible()
    await page.get_by_role("button", name="Close this note").click()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("main").get_by_role("link", name=DESK).click()
    await page.get_by_role("link", name="No room").click()
    await expect(page.get_by_label("Summary").first).to_have_value("Not kept")
    await page.get_by_label("City").fill("Ghent")
    await save(page)
    await expect(note).to_be_hidden()
    assert site.call("GET", f"/v1/assets/{asset['id']}", token)["summary"] == "Not kept"


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
    await again.get_by_role("link", name=DESK).first.click()
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
    await dialog.get_by_label("Date and time").fill("2020-01-02T10:30")
    await dialog.get_by_role("button", name="Schedule").click()
    await expect(dialog.get_by_text("Please choose a time that is still to come.")).to_be_visible()
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
    await expect(page.get_by_role("heading", level=1)).to_have_text(DESK)
    drafts = site.call("GET", "/v1/assets?status=draft&limit=100", token)["items"]
    assert asset["id"] not in {each["id"] for each in drafts}


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


async def test_what_others_keep_in_the_storage_closes_no_page(
    site: Site, token: str, page: Page
) -> None:
    for name in ("desk-draft:somebody:something", "tus::somebody::something"):
        await page.add_init_script(f"localStorage.setItem({name!r}, '{{')")
    await log_in(page, EDITOR)
    await open_desk(page, make(site, token, "Low tide", type="video"))
    await expect(page.get_by_label("Drop files here")).to_be_attached()
