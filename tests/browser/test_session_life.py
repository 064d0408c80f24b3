"""A session in open tabs: renewed when its token expires, and calmly over when it has ended."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.browser.conftest import OpenContext, Site, log_in
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow

EMAIL = "session.life@example.org"
REFRESH, HOME = "/v1/auth/refresh", "/v1/assets?*"
# The ten seconds that the app waits for an answer are one.
SOON = """
    const { timeout } = AbortSignal;
    AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms === 10_000 ? 1000 : ms);
"""
# Through the app's own modules, as its screens do: what each call gave, or the code of its refusal.
CALLS = """async (count) => {
    const { call } = await import("/ui/api.js");
    const one = () => call("/v1/account").then(({ email }) => email, ({ code }) => code);
    return Promise.all(Array.from({ length: count }, one));
}"""


@pytest.fixture(scope="module", autouse=True)
def account(site: Site) -> None:
    site.sign_up(EMAIL)


def note_refreshes(page: Page) -> list[str]:
    seen: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith(REFRESH):
            seen.append(request.url)

    page.on("request", note)
    return seen


async def let_token_expire(page: Page) -> None:
    """It is good for ten minutes."""
    await page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=10))


async def is_logged_in(page: Page) -> None:
    await expect(page.get_by_label(f"Your account: {EMAIL}")).to_be_visible()


async def is_visitor(page: Page) -> None:
    await expect(page.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()


async def test_expired_token_is_renewed_once_for_all_calls(page: Page) -> None:
    await log_in(page, EMAIL)
    refreshes = note_refreshes(page)
    assert await page.evaluate(CALLS, 2) == [EMAIL] * 2
    assert refreshes == []
    await let_token_expire(page)
    assert await page.evaluate(CALLS, 5) == [EMAIL] * 5
    assert len(refreshes) == 1
    await is_logged_in(page)


async def test_tabs_that_renew_at_once_all_stay_logged_in(site: Site, page: Page) -> None:
    await log_in(page, EMAIL)
    sent = len(site.mails(EMAIL))
    other = await page.context.new_page()
    await other.goto("/")
    await is_logged_in(other)
    for tab in (page, other):
        await let_token_expire(tab)
        await tab.evaluate("window.calls = " + CALLS)
    for tab in (page, other):
        await tab.evaluate("void (window.answers = window.calls(3))")
    for tab in (page, other):
        assert await tab.evaluate("window.answers") == [EMAIL] * 3
        await tab.reload()
        await is_logged_in(tab)
    # A refresh token that had been used twice would have ended the session, with a notice.
    assert len(site.mails(EMAIL)) == sent


async def test_session_that_was_ended_elsewhere_leaves_a_visitor(site: Site, page: Page) -> None:
    await log_in(page, EMAIL)
    body = {"email": EMAIL, "password": PASSWORD}
    token = site.call("POST", "/v1/auth/login", json=body)["access_token"]
    site.call("DELETE", "/v1/auth/sessions", token)
    await is_logged_in(page)
    assert await page.evaluate(CALLS, 3) == ["invalid_token"] * 3
    await is_visitor(page)
    await expect(page.get_by_role("main").locator("h1")).to_be_visible()
    await page.goto("/account/security")
    await expect(page).to_have_url("/login?return_to=%2Faccount%2Fsecurity")


async def test_another_account_in_one_tab_is_the_account_of_all(site: Site, page: Page) -> None:
    site.sign_up("other.life@example.org")
    await log_in(page, EMAIL)
    other = await page.context.new_page()
    await other.goto("/")
    await is_logged_in(other)
    switch = """async (credentials) => {
        const { logIn } = await import("/ui/session.js");
        await logIn(credentials);
    }"""
    await page.evaluate(switch, {"email": "other.life@example.org", "password": PASSWORD})
    await expect(other.get_by_label("Your account: other.life@example.org")).to_be_visible()


async def test_server_that_is_busy_logs_nobody_out(page: Page) -> None:
    await log_in(page, EMAIL)
    await page.route(f"**{REFRESH}", lambda route: route.fulfill(status=503, json={}))
    await page.goto("/")
    await is_visitor(page)
    await page.unroute(f"**{REFRESH}")
    await page.get_by_role("banner").get_by_role("link", name="Register").wait_for()
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await is_logged_in(page)


async def test_server_that_hangs_keeps_no_tab_waiting(page: Page) -> None:
    await log_in(page, EMAIL)
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.add_init_script(SOON)
        await tab.route(f"**{REFRESH}", lambda _: None)  # no answer comes
        await tab.goto("/")
    for tab in (page, other):
        await is_visitor(tab)
        await tab.unroute(f"**{REFRESH}")
    await other.reload()
    await is_logged_in(other)
    await page.reload()
    await is_logged_in(page)


async def log_out_in_vain(page: Page) -> None:
    await page.get_by_label(f"Your account: {EMAIL}").click()
    async with page.expect_event("dialog") as waiting:
        leaving = asyncio.ensure_future(page.get_by_role("button", name="Log out").click())
    dialog = await waiting.value
    assert dialog.message.startswith("No answer came")
    await dialog.accept()
    await leaving


async def test_log_out_that_hangs_says_so_and_works_later(page: Page) -> None:
    await page.add_init_script(SOON)
    await log_in(page, EMAIL)
    await page.route("**/v1/auth/logout", lambda _: None)
    await log_out_in_vain(page)
    await page.unroute("**/v1/auth/logout")
    await page.get_by_label(f"Your account: {EMAIL}").click()
    await page.get_by_role("button", name="Log out").click()
    await is_visitor(page)


async def test_log_out_that_did_not_arrive_says_so(page: Page) -> None:
    await log_in(page, EMAIL)
    await page.context.set_offline(True)
    await log_out_in_vain(page)
    await page.context.set_offline(False)
    await page.reload()
    await is_logged_in(page)


async def test_form_keeps_what_was_typed_while_the_server_is_away(page: Page) -> None:
    await page.goto("/login")
    await page.get_by_label("Email address").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.context.set_offline(True)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("No answer came")
    await page.context.set_offline(False)
    await page.get_by_role("main").get_by_role("button", name="Log in").click()
    await is_logged_in(page)


async def test_screen_that_could_not_be_loaded_is_there_at_the_next_try(page: Page) -> None:
    await page.goto("/login")

    async def cut(route: Route) -> None:
        await route.abort("connectionrefused")

    await page.route(f"**{HOME}", cut)
    await page.get_by_role("link", name="Multimedia Account").click()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page.get_by_role("main")).to_contain_text("No answer came")
    await page.unroute(f"**{HOME}")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("main").get_by_role("link").nth(3)).to_be_visible()


async def test_module_that_could_not_be_loaded_is_there_at_the_next_try(
    page: Page, failures: list[str]
) -> None:
    await page.goto("/")
    log_in_link = page.get_by_role("link", name="Log in").first
    await log_in_link.wait_for()  # with all modules of this page
    await page.context.set_offline(True)
    await log_in_link.click()
    await expect(page.get_by_role("heading", name="be shown now")).to_be_focused()
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert all("dynamically imported module" in each for each in failures)
    failures.clear()


# Languages


async def test_page_speaks_the_language_of_the_browser(open_context: OpenContext) -> None:
    page = await (await open_context(locale="fr-CA")).new_page()
    await page.goto("/login")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await expect(page.get_by_role("heading", name="Se connecter")).to_be_visible()
    await page.get_by_role("textbox", name="Adresse électronique").fill("nobody@example.org")
    await page.get_by_role("textbox", name="Mot de passe").fill("Faux-Cheval-7-Batterie")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("est incorrect")


async def test_chosen_language_stays(page: Page) -> None:
    await page.goto("/login")
    await page.get_by_role("button", name="Français").click()
    await expect(page.get_by_role("heading", name="Se connecter")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Se connecter")).to_be_visible()
    await expect(page.get_by_role("button", name="Français")).to_have_attribute(
        "aria-pressed", "true"
    )
