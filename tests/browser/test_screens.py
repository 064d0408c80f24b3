"""Every address of the app, as those see it who may: accessible, quick, and for every width."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from app.routers.browser_app import FOLDER
from tests.browser.conftest import Site, log_in, new_context, watch
from tests.browser.measures import accessible, fits, reachable_by_keyboard, speed, weight
from tests.helpers import PASSWORD
from tests.programs import PROJECT, eventually

pytestmark = pytest.mark.slow

EDITOR, MEMBER = "editor.of.screens@example.org", "member.of.screens@example.org"
PICTURES = PROJECT / "artifacts" / "screenshots"
TALLEST = 4000  # pixels of a picture
Who = Literal["visitor", "member", "editor"]
EDITION = {
    "name": "The week at sea",
    "translations": {"en": {"subject": "The week at sea", "body": "# Three boats\n\nThey sailed."}},
}


@dataclass(frozen=True)
class Screen:
    """`{names}` in the address are of what `places` finds or makes."""

    name: str
    address: str
    who: Who = "visitor"
    is_also_shown_dark: bool = False

    @property
    def is_public(self) -> bool:
        return self.who == "visitor"


SCREENS = (
    Screen("home", "/", is_also_shown_dark=True),
    Screen("search", "/search?q=line-up", is_also_shown_dark=True),
    Screen("search-nothing", "/search?q=unfindable"),
    Screen("asset-video", "/assets/{video}", is_also_shown_dark=True),
    Screen("asset-story", "/assets/{story}"),
    Screen("asset-absent", "/assets/no-such-asset"),
    Screen("collection", "/collections/{collection}"),
    Screen("register", "/register", is_also_shown_dark=True),
    Screen("verify", "/verify"),
    Screen("login", "/login"),
    Screen("reset", "/reset"),
    Screen("undo", "/undo"),
    Screen("newsletter", "/newsletter"),
    Screen("newsletter-confirm", "/newsletter/confirm"),
    Screen("newsletter-unsubscribe", "/newsletter/unsubscribe"),
    Screen("newsletter-preferences", "/newsletter/preferences"),
    Screen("newsletter-archive", "/newsletter/archive/{number}"),
    Screen("welcome", "/welcome", "member"),
    Screen("profile", "/account", "member", is_also_shown_dark=True),
    Screen("security", "/account/security", "member"),
    Screen("my-downloads", "/account/downloads", "member"),
    Screen("my-newsletter", "/account/newsletter", "member"),
    Screen("keys", "/account/keys", "member"),
    Screen("delete-account", "/account/delete", "member"),
    Screen("desk", "/desk", "editor", is_also_shown_dark=True),
    Screen("desk-new-asset", "/desk/assets/new", "editor"),
    Screen("desk-asset", "/desk/assets/{draft}", "editor"),
    Screen("desk-editions", "/desk/editions", "editor"),
    Screen("desk-edition-sent", "/desk/editions/{sent}", "editor"),
    Screen("desk-edition", "/desk/editions/{edition}", "editor"),
)
every_screen = pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.name)
every_public_screen = pytest.mark.parametrize(
    "screen", [each for each in SCREENS if each.is_public], ids=lambda screen: screen.name
)


def test_no_address_of_the_app_is_left_out() -> None:
    pages = re.findall(r'^  page\("([^"]+)"', (FOLDER / "ui/pages.js").read_text(), re.MULTILINE)
    visited = {re.sub(r"\{\w+\}", ":", each.address.partition("?")[0]) for each in SCREENS}
    assert {re.sub(r":\w+", ":", page) for page in pages} <= visited


@pytest.fixture(scope="module")
def places(site: Site) -> dict[str, str]:
    """One of each thing that has a screen."""
    site.make_admin(EDITOR)
    body = {"email": EDITOR, "password": PASSWORD}
    token = site.call("POST", "/v1/auth/login", json=body)["access_token"]
    asset = {"type": "video", "title": "Low water at the lock", "language": "en"}
    editions = "/v1/newsletter/editions"
    sent = site.call("POST", editions, token, json=EDITION)["id"]
    site.call("POST", f"{editions}/{sent}/send", token, headers={"If-Match": "*"})
    archive = eventually(lambda: site.call("GET", "/v1/newsletter/archive")["items"])
    return {
        "video": site.call("GET", "/v1/assets?type=video")["items"][0]["slug"],
        "story": site.call("GET", "/v1/assets?type=story")["items"][0]["slug"],
        "collection": site.call("GET", "/v1/collections")["items"][0]["slug"],
        "draft": site.call("POST", "/v1/assets", token, json=asset)["id"],
        "edition": site.call("POST", editions, token, json=EDITION)["id"],
        "number": str(archive[0]["number"]),
        "sent": sent,
    }


@pytest.fixture(scope="module")
async def people(
    browser: Browser, site: Site, places: dict[str, str]
) -> AsyncIterator[dict[Who, BrowserContext]]:
    """Browsers of a visitor, a member and an editor; `places` has made the editor."""
    assert places
    site.sign_up(MEMBER)
    contexts: dict[Who, BrowserContext] = {
        "visitor": await new_context(browser, site),
        "member": await new_context(browser, site),
        "editor": await new_context(browser, site),
    }
    await log_in(await contexts["member"].new_page(), MEMBER)
    await log_in(await contexts["editor"].new_page(), EDITOR)
    yield contexts
    for context in contexts.values():
        await context.close()


@pytest.fixture
async def page(
    screen: Screen, people: dict[Who, BrowserContext], failures: list[str]
) -> AsyncIterator[Page]:
    page = await people[screen.who].new_page()
    watch(page, failures)
    yield page
    await page.close()


async def visit(page: Page, screen: Screen, places: dict[str, str]) -> None:
    await page.goto(screen.address.format(**places))
    await expect(page.locator("main h1")).to_be_visible()
    await page.wait_for_load_state("networkidle")


@every_screen
async def test_screen_is_for_every_eye_hand_and_width(
    screen: Screen, page: Page, places: dict[str, str]
) -> None:
    await visit(page, screen, places)
    await expect(page.locator("h1")).to_have_count(1)
    await accessible(page)
    await fits(page, 320, 360, 1280)
    await reachable_by_keyboard(page)


@every_public_screen
async def test_first_view_is_light_and_quick_and_nothing_moves(
    screen: Screen, page: Page, places: dict[str, str]
) -> None:
    address = screen.address.format(**places)
    weighed = await weight(page, address)
    assert 0 < weighed.total <= 150_000, weighed.by_kind
    measured = [await speed(page, address) for _ in range(3)]
    assert median(each.largest_paint_ms for each in measured) <= 1000
    assert [each.layout_shift for each in measured] == [0, 0, 0]


@every_screen
async def test_picture_of_the_screen_can_be_taken(
    screen: Screen, page: Page, places: dict[str, str]
) -> None:
    await visit(page, screen, places)
    pictures = [await picture(page, screen.name, width) for width in (360, 1280)]
    if screen.is_also_shown_dark:
        await page.emulate_media(color_scheme="dark")
        pictures.append(await picture(page, f"{screen.name}-dark", 1280))
    assert all(each.stat().st_size > 5000 for each in pictures)


async def picture(page: Page, name: str, width: int) -> Path:
    await page.set_viewport_size({"width": width, "height": 800})
    await page.wait_for_load_state("networkidle")
    needed = await page.evaluate("document.documentElement.scrollHeight")
    path = PICTURES / f"{name}-{width}.png"
    clip = {"x": 0, "y": 0, "width": width, "height": min(needed, TALLEST)}
    await page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]
    return path
