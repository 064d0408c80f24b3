"""The catalogue, as those who look for material go through it."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import PATIENCE, Site
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow

ADMIN = "catalogue-editor@example.org"
CARD = "/assets/line-up-card-1080p50"
SCREENS = (
    "/",
    "/search?q=card&type=video",
    "/search?q=nowhere-to-be-found",
    "/search?type=story",
    CARD,
    "/assets/how-to-check-a-picture",
    "/collections/line-up",
)


@pytest.fixture(scope="module")
def editor(site: Site) -> str:
    """The access token of somebody who may publish."""
    site.make_admin(ADMIN)
    body = {"email": ADMIN, "password": PASSWORD}
    token: str = site.call("POST", "/v1/auth/login", json=body)["access_token"]
    return token


@pytest.fixture
async def french_page(browser: Browser, site: Site) -> AsyncIterator[Page]:
    async with await browser.new_context(base_url=site.url, locale="fr-BE") as context:
        context.set_default_timeout(PATIENCE)
        yield await context.new_page()


def publish(site: Site, token: str, **fields: Any) -> dict[str, Any]:
    created = site.call("POST", "/v1/assets", token, json=fields)
    published: dict[str, Any] = site.call(
        "POST", f"/v1/assets/{created['id']}/publish", token, headers={"If-Match": "*"}, json={}
    )
    return published


async def test_filters_narrow_what_is_found_and_going_back_widens_it(page: Page) -> None:
    await page.goto("/search?q=card")
    results = page.get_by_role("heading", name="result", level=2)
    await expect(results).to_have_text("4 results")
    await page.get_by_role("checkbox", name="Story").check()
    await expect(results).to_have_text("1 result")
    await expect(page.get_by_role("checkbox", name="Story")).to_be_focused()
    assert parse_qs(urlsplit(page.url).query) == {"q": ["card"], "type": ["story"]}
    await page.go_back()
    await expect(results).to_have_text("4 results")
    await page.go_forward()
    await expect(results).to_have_text("1 result")
    await page.get_by_role("checkbox", name="Video").check()
    await expect(results).to_have_text("4 results")
    await page.get_by_role("link", name="Remove filter: Story").click()
    await expect(results).to_have_text("3 results")
    await page.go_back()
    await page.go_back()
    await expect(page.get_by_role("checkbox", name="Story")).to_be_checked()
    await page.go_back()
    await expect(results).to_have_text("4 results")
    await expect(page.get_by_role("checkbox", name="Story")).not_to_be_checked()


async def test_search_hit_leads_to_its_moment_in_the_preview(page: Page) -> None:
    await page.goto("/search?q=silent")
    hit = page.get_by_role("listitem").filter(has_text="full high definition")
    await expect(hit.locator("mark").first).to_have_text("silent")
    await hit.get_by_role("link", name="Play from 0:02").click()
    await expect(page.get_by_role("button", name="The moving bar")).to_have_attribute(
        "aria-current", "true"
    )
    assert await page.locator("video").evaluate("video => video.currentTime") == 2


async def test_further_results_are_added_and_the_first_of_them_has_the_focus(page: Page) -> None:
    async def two_at_a_time(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=24", "limit=2"))

    await page.route("**/v1/assets?*limit=24*", two_at_a_time)
    await page.goto("/search?collection=line-up&sort=title")
    cards = page.get_by_role("main").get_by_role("heading", level=3)
    await expect(cards).to_have_count(2)
    await page.get_by_role("button", name="Show more").click()
    await expect(cards).to_have_count(4)
    await expect(cards.nth(2).get_by_role("link")).to_be_focused()
    await expect(page.get_by_role("button", name="Show more")).to_be_hidden()


async def test_preview_plays_with_captions_and_the_shotlist_leads_through_it(page: Page) -> None:
    await page.goto(CARD)
    video = page.locator("video")
    second = page.get_by_role("button", name="The moving bar")
    await expect(second).not_to_have_attribute("aria-current", "true")
    await second.click()
    await expect(second).to_have_attribute("aria-current", "true")
    await page.wait_for_function("() => document.querySelector('video').currentTime > 2.5")
    cues = "video => [video.textTracks[0].mode, video.textTracks[0].cues?.length]"
    mode, count = await video.evaluate(cues)
    assert mode == "showing"
    assert count > 0


async def test_title_of_the_window_follows_the_filters(page: Page) -> None:
    await page.goto("/search?type=story")
    await expect(page).to_have_title("Stories · Multimedia Account")
    await page.get_by_role("checkbox", name="Story").uncheck()
    await expect(page).to_have_title("Catalogue · Multimedia Account")


async def test_french_readers_get_french_titles_and_may_choose_the_original(
    french_page: Page,
) -> None:
    await french_page.goto("/search?type=video")
    title = french_page.get_by_role("link", name="Mire, pleine haute définition")
    await expect(title).to_have_attribute("lang", "fr")
    await title.click()
    heading = french_page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Mire, pleine haute définition")
    original = french_page.get_by_role("group", name="Langue du texte")
    await original.get_by_role("button", name="English").click()
    await expect(heading).to_have_text("Line-up card, full high definition")


async def test_withdrawn_asset_says_so_and_why(page: Page, site: Site, editor: str) -> None:
    story = publish(site, editor, type="story", title="The wrong harbour")
    withdraw = f"/v1/assets/{story['id']}/withdraw"
    body = {"reason": "It shows another harbour."}
    site.call("POST", withdraw, editor, headers={"If-Match": "*"}, json=body)
    await page.goto(f"/assets/{story['slug']}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This was withdrawn")
    await expect(page.get_by_text("It shows another harbour.")).to_be_visible()


async def test_what_may_not_be_done_with_an_asset_stands_before_its_files(
    page: Page, site: Site, editor: str
) -> None:
    name = f"W{'x' * 80} {'A harbour at dawn, seen from the quay, ' * 4}".strip()
    limits = [{"kind": "geo", "rule": "deny", "values": ["FR", "BE"], "note": "Pool material"}]
    asset = publish(
        site, editor, type="video", title=name, restrictions=limits, slug=f"x{uuid4().hex}x"
    )
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto(f"/assets/{asset['slug']}")
    await expect(
        page.get_by_text("Not for use in: France, Belgium · Pool material")
    ).to_be_visible()
    await expect(page.get_by_text("There is no preview yet.")).to_be_visible()
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(width) <= 0


@pytest.mark.parametrize("path", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_catalogue_keeps_to_the_rules_of_accessibility(
    page: Page, path: str, scheme: Any
) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.goto(path)
    await page.get_by_role("heading", level=1).wait_for()
    findings = await Axe().run(page)
    assert findings.violations_count == 0, findings.generate_report()
    assert len(findings.response["passes"]) > 20
