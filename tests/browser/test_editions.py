"""The desk of newsletter editions: written, looked at, sent and followed, and no word lost."""

import re
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.conftest import Site, log_in
from tests.browser.storage import FULL
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow

EDITOR = "editions@example.org"
EDITIONS = "/v1/newsletter/editions"
TEXT = {"subject": "The fleet is back", "body": "# Home again\n\nSix ships **returned**."}


class Desk:
    """What the editor of the browser, or another one, does by the API."""

    def __init__(self, site: Site) -> None:
        self.site = site
        body = {"email": EDITOR, "password": PASSWORD}
        self.token = site.call("POST", "/v1/auth/login", json=body)["access_token"]

    def call(self, method: str, path: str, **options: Any) -> Any:
        return self.site.call(method, path, self.token, **options)

    def write(self, name: str, **fields: Any) -> dict[str, Any]:
        body = {"name": name, "language": "en", "translations": {"en": TEXT}, **fields}
        edition: dict[str, Any] = self.call("POST", EDITIONS, json=body)
        return edition

    def read(self, edition: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"{EDITIONS}/{edition['id']}")
        return found

    def text(self, edition: dict[str, Any]) -> dict[str, Any]:
        text: dict[str, Any] = self.read(edition)["translations"]["en"]
        return text

    def change(self, edition: dict[str, Any], **text: str) -> None:
        headers = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
        patch = {"translations": {"en": text}}
        self.call("PATCH", f"{EDITIONS}/{edition['id']}", json=patch, headers=headers)

    def audience(self, edition: dict[str, Any]) -> int:
        """With those whom other tests have subscribed."""
        return int(self.call("GET", f"{EDITIONS}/{edition['id']}/stats")["audience"])

    def subscribe(self, name: str, count: int) -> None:
        lines = ["email,status,language,frequency"]
        lines += [f"{name}-{each}@example.org,subscribed,en,each" for each in range(count)]
        path = "/v1/newsletter/subscribers?consent_source=Test"
        headers = {"Content-Type": "text/csv"}
        self.call("POST", path, content="\n".join(lines).encode(), headers=headers)


@pytest.fixture(scope="module", autouse=True)
def editor(site: Site) -> None:
    site.make_admin(EDITOR)


@pytest.fixture
def desk(site: Site) -> Desk:
    return Desk(site)


@pytest.fixture
async def editing(page: Page) -> Page:
    await log_in(page, EDITOR)
    return page


async def open_edition(page: Page, edition: dict[str, Any]) -> None:
    await page.goto(f"/desk/editions/{edition['id']}")
    await page.get_by_role("heading", name=edition["name"], level=1).wait_for()


def text_area(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Text", exact=True)


def saved(page: Page) -> Locator:
    return page.locator(".save-state", has_text="All changes are saved")


async def append(area: Locator, text: str) -> None:
    await area.press("Control+End")
    await area.press_sequentially(text)


async def test_edition_is_written_and_seen_as_its_readers_will(editing: Page, site: Site) -> None:
    page = editing
    await page.goto("/desk/editions")
    await page.get_by_role("button", name="New edition").click()
    await page.get_by_label("Name among editors").fill("Week 48")
    await page.get_by_role("button", name="Begin writing").click()
    await expect(page.get_by_text("Before it can be sent, it needs:")).to_be_visible()

    await page.get_by_role("textbox", name="Subject").fill("The fleet is back")
    await text_area(page).fill("# Home again\n\nSix ships **returned**.")
    await page.get_by_role("button", name="Insert an asset").click()
    await page.get_by_role("searchbox", name="Find a published asset").fill("full high definition")
    await page.get_by_role("button", name="Line-up card, full high definition").click()
    await expect(text_area(page)).to_have_value(re.compile(r"\n\n::asset\[line-up-card-1080p50\]"))

    frame = page.frame_locator("iframe")
    await expect(frame.get_by_role("heading", name="Home again")).to_be_visible()
    card = frame.get_by_role("heading", name="Line-up card, full high definition")
    await expect(card).to_be_visible()
    poster = frame.get_by_role("img").first
    assert await poster.evaluate("picture => picture.decode().then(() => picture.naturalWidth)")
    # The mail's own styles, which the page's policy would have dropped.
    size = "it => getComputedStyle(it).fontSize"
    assert await frame.get_by_role("heading", name="Home again").evaluate(size) == "28px"

    await page.get_by_role("button", name="Phone").click()
    width = "it => it.ownerDocument.defaultView.innerWidth"
    assert await frame.locator("html").evaluate(width) == 375
    await page.get_by_role("button", name="Plain text").click()
    await expect(page.locator("pre")).to_contain_text("Line-up card, full high definition")

    await page.get_by_role("button", name="French").click()
    await expect(page.get_by_text("Nothing is written in French yet")).to_be_visible()
    subject = page.get_by_role("textbox", name="Subject")
    await expect(subject).to_have_attribute("placeholder", "The fleet is back")

    await page.get_by_role("button", name="Test mail").click()
    await page.get_by_label("Send it to").fill("tests@example.org")
    await page.get_by_role("button", name="Send the test").click()
    mail = site.mail("tests@example.org")
    assert mail["subject"] == "[Test] The fleet is back"
    assert "Six ships" in mail["text"]


async def test_what_can_not_be_sent_leads_to_its_place(editing: Page, desk: Desk) -> None:
    edition = desk.write("Incomplete", translations={"en": {"body": "::asset[no-such]"}})
    await open_edition(editing, edition)
    await editing.get_by_role("button", name="Subject (English)").click()
    await expect(editing.get_by_role("textbox", name="Subject")).to_be_focused()
    await editing.keyboard.type("A subject")
    await editing.get_by_role("button", name="Text (English)").click()
    await expect(text_area(editing)).to_be_focused()


async def test_edition_is_sent_paused_and_resumed_in_sight(
    editing: Page, site: Site, desk: Desk
) -> None:
    page, edition = editing, desk.write("Sending")
    others = desk.audience(edition)
    desk.subscribe("sending", 60)
    everybody = 60 + others
    desk.call("PUT", "/v1/newsletter/rates/sender", json={"per_second": 10})
    await open_edition(page, edition)
    await page.get_by_role("button", name="Send now").click()
    await page.get_by_role("button", name=f"Send to {everybody} subscribers").click()

    await expect(page.get_by_role("heading", name="Sending", exact=True, level=2)).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("heading", name="Paused: no mail leaves")).to_be_visible()
    assert desk.read(edition)["state"] == "paused"
    await expect(page.get_by_role("button", name="Stop for good")).to_be_visible()
    desk.call("DELETE", "/v1/newsletter/rates/sender")
    await page.get_by_role("button", name="Resume").click()

    await expect(page.get_by_role("heading", name="What became of it")).to_be_visible()
    await expect(page.locator(".figures")).to_contain_text(re.compile(rf"Sent\s*{everybody}\b"))
    assert len(site.mails("sending-59@example.org")) == 1
    await page.get_by_label("Email address").fill("sending-7@example.org")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody")).to_contain_text("sending-7@example.org")
    await page.get_by_label("State").select_option("failed")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.get_by_text("No recipient matches.")).to_be_visible()


async def test_draft_is_saved_from_a_device_that_keeps_nothing(editing: Page, desk: Desk) -> None:
    edition = desk.write("No room")
    await editing.add_init_script(FULL)
    await open_edition(editing, edition)
    await append(text_area(editing), " All are well.")
    note = editing.get_by_role("main").get_by_text(re.compile("This device can.t keep"))
    await expect(note).to_be_visible()
    await expect(saved(editing)).to_be_visible()
    assert desk.text(edition)["body"] == TEXT["body"] + " All are well."


async def test_another_editors_change_costs_nobody_a_word(editing: Page, desk: Desk) -> None:
    page, edition = editing, desk.write("Two editors")
    await open_edition(page, edition)
    desk.change(edition, subject="The whole fleet is back")
    await append(text_area(page), " All are well.")
    await expect(page.get_by_text("Taken over, since you had not changed it")).to_be_visible()
    await expect(saved(page)).to_be_visible()
    assert desk.text(edition) == {
        "subject": "The whole fleet is back",
        "preheader": None,
        "body": TEXT["body"] + " All are well.",
    }
    await page.get_by_role("button", name="Close this note").click()

    desk.change(edition, body="Theirs.")
    await append(text_area(page), " Mine.")
    conflict = page.get_by_role("group", name="Text (English)")
    await expect(conflict).to_contain_text("Theirs.")
    await expect(page.locator(".save-state")).to_contain_text("Waits for you to choose")
    await expect(text_area(page)).to_have_value(TEXT["body"] + " All are well. Mine.")
    assert desk.text(edition)["body"] == "Theirs."
    await append(text_area(page), " And more.")
    await conflict.get_by_role("button", name="Use theirs").click()
    await expect(text_area(page)).to_have_value("Theirs.")
    await conflict.get_by_role("button", name="Keep mine").click()
    mine = TEXT["body"] + " All are well. Mine. And more."
    await expect(text_area(page)).to_have_value(mine)
    await page.keyboard.press("Control+s")
    await expect(saved(page)).to_be_visible()
    assert desk.text(edition)["body"] == mine


async def test_text_outlives_a_server_that_is_away_and_a_closed_tab(
    editing: Page, context: BrowserContext, desk: Desk
) -> None:
    edition = desk.write("Cut off")
    await open_edition(editing, edition)
    await context.route(f"**{EDITIONS}/**", no_answer_to_changes)
    await append(text_area(editing), " Nobody has this yet.")
    await expect(editing.locator(".save-state")).to_contain_text("kept in this browser")
    await editing.close()
    await context.unroute(f"**{EDITIONS}/**")

    again = await context.new_page()
    await open_edition(again, edition)
    await expect(text_area(again)).to_have_value(TEXT["body"] + " Nobody has this yet.")
    await expect(again.get_by_text("found in this browser")).to_be_visible()
    await expect(saved(again)).to_be_visible()
    assert desk.text(edition)["body"].endswith(" Nobody has this yet.")


async def test_nothing_is_tried_again_once_the_editor_has_left(editing: Page, desk: Desk) -> None:
    edition = desk.write("Left behind")
    await open_edition(editing, edition)
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if route.request.method == "PATCH":
            held.append(route)
        else:
            await route.continue_()

    await editing.route(f"**{EDITIONS}/**", hold)
    editing.on("dialog", lambda dialog: dialog.accept())
    await append(text_area(editing), " Kept here.")
    await expect(editing.locator(".save-state")).to_contain_text("Saving")
    await editing.get_by_role("link", name="Newsletter editions").click()
    await expect(editing).to_have_url("/desk/editions")
    await held[0].abort()
    await editing.wait_for_timeout(2500)  # a pause in typing, twice
    assert len(held) == 1
    await editing.unroute(f"**{EDITIONS}/**")
    await open_edition(editing, edition)
    await expect(text_area(editing)).to_have_value(TEXT["body"] + " Kept here.")


async def no_answer_to_changes(route: Route) -> None:
    await (route.abort() if route.request.method == "PATCH" else route.continue_())


async def test_test_mail_without_an_address_says_what_is_missing(editing: Page, desk: Desk) -> None:
    await open_edition(editing, desk.write("For nobody"))
    await editing.get_by_role("button", name="Test mail").click()
    await editing.get_by_label("Send it to").fill("")
    await editing.get_by_role("button", name="Send the test").click()
    await expect(editing.get_by_role("alert")).to_have_text("Please enter an address.")


async def test_test_mail_whose_answer_was_lost_is_sent_once(
    editing: Page, site: Site, desk: Desk
) -> None:
    async def lose_the_answer(route: Route) -> None:
        await route.fetch()
        await route.fulfill(status=504)

    await open_edition(editing, desk.write("Lost answer"))
    await editing.get_by_role("button", name="Test mail").click()
    await editing.get_by_label("Send it to").fill("once@example.org")
    send = editing.get_by_role("button", name="Send the test")
    await editing.route("**/test", lose_the_answer)
    await send.click()
    await expect(editing.get_by_role("alert").filter(visible=True)).to_be_visible()
    await editing.unroute("**/test")
    await send.click()
    await expect(editing.get_by_role("dialog")).to_be_hidden()
    await editing.get_by_role("button", name="Test mail").click()
    await send.click()
    await expect(editing.get_by_role("dialog")).to_be_hidden()
    site.mail("once@example.org", after=1)
    assert len(site.mails("once@example.org")) == 2


async def test_leaving_with_unsaved_text_is_asked_about(editing: Page, desk: Desk) -> None:
    edition = desk.write("Unsaved")
    await open_edition(editing, edition)
    asked: list[str] = []

    async def stay(dialog: Any) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    editing.on("dialog", stay)
    await append(text_area(editing), " More.")
    await editing.get_by_role("link", name="Newsletter editions").click()
    assert len(asked) == 1
    await expect(saved(editing)).to_be_visible()
    await editing.get_by_role("link", name="Newsletter editions").click()
    await expect(editing).to_have_url("/desk/editions")
    assert len(asked) == 1


async def test_scheduled_edition_takes_changes_only_when_its_editor_says_so(
    editing: Page, desk: Desk
) -> None:
    page, edition = editing, desk.write("Scheduled")
    await open_edition(page, edition)
    await page.get_by_role("button", name="Schedule", exact=True).click()
    await page.get_by_label("Day and time").fill("2099-06-01T07:00")
    await expect(page.locator("#send-at-utc")).to_have_text(re.compile("1 Jun 2099.* UTC"))
    await page.get_by_role("button", name="Schedule it").click()
    await expect(page.get_by_text("Leaves 1 Jun 2099")).to_be_visible()

    await append(text_area(page), " Half a sen")
    await expect(page.get_by_text("press Save when they may be sent")).to_be_visible()
    await page.wait_for_timeout(2000)
    assert desk.text(edition)["body"] == TEXT["body"]
    await append(text_area(page), "tence.")
    await page.keyboard.press("Control+s")
    await expect(saved(page)).to_be_visible()
    assert desk.text(edition)["body"] == TEXT["body"] + " Half a sentence."
    await page.get_by_role("button", name="Back to draft").click()
    await expect(page.get_by_role("button", name="Schedule", exact=True)).to_be_visible()
    assert desk.read(edition)["state"] == "draft"


async def test_unsaved_text_stays_readable_when_the_edition_has_left_without_it(
    editing: Page, desk: Desk
) -> None:
    edition = desk.write("Too late", topics=["audio"])
    await open_edition(editing, edition)
    desk.call("POST", f"{EDITIONS}/{edition['id']}/send", headers={"If-Match": "*"})
    await append(text_area(editing), " One more thing.")
    left = editing.get_by_role("region", name="The edition started before these changes")
    await expect(left).to_contain_text("One more thing.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_screens_are_accessible_and_fit_a_small_phone(
    editing: Page, desk: Desk, scheme: Any
) -> None:
    word = "Donaudampfschifffahrtsgesellschaft" * 5
    text = {"subject": word, "body": "Text."}
    edition = desk.write(word, translations={"en": text}, topics=["audio"])
    sent = desk.write(f"Sent {scheme}", topics=["audio"])
    desk.call("POST", f"{EDITIONS}/{sent['id']}/send", headers={"If-Match": "*"})
    await editing.emulate_media(color_scheme=scheme)
    await editing.set_viewport_size({"width": 320, "height": 640})
    for path in ("", f"/{edition['id']}", f"/{sent['id']}"):
        await editing.goto(f"/desk/editions{path}")
        await editing.get_by_role("heading", level=1).wait_for()
        await expect(editing.locator(".spinner")).to_have_count(0)
        results = await Axe().run(editing)
        assert results.violations_count == 0, results.generate_report()
        width = await editing.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, path
