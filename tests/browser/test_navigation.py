"""Going about: links, fragments, back and forward, focus, and what has not been saved."""

import re

import pytest
from playwright.async_api import Dialog, Page, Route, expect

from tests.browser.measures import until

pytestmark = pytest.mark.slow

UNSAVED = """
import { html } from "../html.js";
export default async () => ({
  title: "Unsaved",
  view: () => html`<h1 tabindex="-1">Unsaved</h1>`,
  isUnsaved: () => true,
  unsavedText: "Leave what you typed?",
});
"""


async def scroll_to(page: Page, top: int) -> None:
    """And let it be kept."""
    await page.evaluate("(top) => scrollTo(0, top)", top)
    await until(page, f"history.state.scroll === {top}")


async def test_back_and_reload_lead_to_where_one_was(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 300})
    await page.goto("/")
    await page.wait_for_load_state("networkidle")
    await scroll_to(page, 200)
    await page.get_by_role("link", name="Newsletter").last.focus()
    await scroll_to(page, 250)
    await page.evaluate("document.querySelector('header a[href^=\"/login\"]').click()")
    await expect(page.get_by_role("heading", name="Log in")).to_be_focused()
    assert await page.evaluate("scrollY") == 0
    await page.go_back()
    await until(page, "scrollY === 250")
    await page.reload()
    await until(page, "scrollY === 250")
    await page.go_forward()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert await page.evaluate("scrollY") == 0


async def test_skip_link_leads_to_the_content_and_loads_nothing(page: Page) -> None:
    await page.goto("/login")
    await page.get_by_label("Email address").fill("half.typed@example.org")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    await page.locator("body").press("Tab")
    await page.evaluate("document.querySelector('.skip').focus()")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Email address")).to_be_focused()
    await page.go_back()
    await expect(page.get_by_label("Email address")).to_have_value("half.typed@example.org")
    assert asked == []


async def test_the_quicker_of_two_screens_does_not_win_over_the_later(page: Page) -> None:
    await page.goto("/login")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/v1/assets?*", hold)
    await page.get_by_role("link", name="Multimedia Account").click()
    await expect(page.locator("html")).to_have_class("is-loading")
    await page.get_by_role("link", name="Forgot your password?").click()
    await expect(page).to_have_url(re.compile("/reset"))
    await expect(page.locator("html")).not_to_have_class("is-loading")
    heading = await page.locator("h1").text_content()
    for route in held:
        await route.continue_()
    await page.unroute("**/v1/assets?*")
    await page.wait_for_load_state("networkidle")
    assert await page.locator("h1").text_content() == heading


async def test_back_shows_anew_what_a_screen_has_put_under_another_address(page: Page) -> None:
    await page.goto("/")
    await page.wait_for_load_state("networkidle")
    await page.evaluate("history.pushState(null, '', '/?narrowed=yes')")
    async with page.expect_response("**/v1/assets?*"):
        await page.go_back()
    await expect(page).to_have_url("/")
    async with page.expect_response("**/v1/assets?*"):
        await page.go_forward()
    await expect(page).to_have_url("/?narrowed=yes")


async def test_mistyped_address_leads_to_a_page_that_says_so(page: Page) -> None:
    answer = await page.goto("/assetz")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    await page.get_by_role("link", name="To the catalogue").click()
    await expect(page).to_have_url("/")


async def test_nobody_loses_what_is_unsaved_without_being_asked(page: Page) -> None:
    await page.route(
        "**/ui/screens/login.js",
        lambda route: route.fulfill(content_type="text/javascript", body=UNSAVED),
    )
    asked: list[str] = []
    answers = [False, False, True]

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.accept() if answers[len(asked) - 1] else dialog.dismiss())

    page.on("dialog", answer)
    await page.goto("/")
    await page.get_by_role("link", name="Log in").first.click()
    unsaved = page.get_by_role("heading", name="Unsaved")
    await expect(unsaved).to_be_visible()
    await page.get_by_role("link", name="Multimedia Account").click()
    await page.evaluate("history.back()")
    await page.wait_for_timeout(300)
    await expect(unsaved).to_be_visible()
    await expect(page).to_have_url("/login?return_to=%2F")
    await page.evaluate("history.back()")
    await expect(page).to_have_url("/")
    await expect(unsaved).to_have_count(0)
    assert asked == ["Leave what you typed?"] * 3


async def test_return_to_follows_no_address_from_elsewhere(page: Page) -> None:
    await page.goto("/login")
    origin = await page.evaluate("location.origin")
    cases = {
        "/search?q=a#top": "/search?q=a#top",
        f"{origin}/account": "/account",
        "account": "/account",
        "": "/",
        "https://elsewhere.example/": "/",
        "//elsewhere.example": "/",
        "/\\elsewhere.example": "/",
        "/.//elsewhere.example": "/",
        f"{origin}//elsewhere.example": "/",
        "\t//elsewhere.example": "/",
        "javascript:alert(1)": "/",
        "data:text/html,x": "/",
    }
    follow = """async (paths) => {
        const { safePath } = await import("/ui/router.js");
        return paths.map(safePath);
    }"""
    assert await page.evaluate(follow, [*cases]) == [*cases.values()]
