"""Logging in and out, as a person does it."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Site, log_in

pytestmark = pytest.mark.slow

EMAIL = "login@example.org"


@pytest.fixture(scope="module", autouse=True)
def account(site: Site) -> None:
    site.sign_up(EMAIL)


async def test_log_in_leads_back_to_the_page_and_lasts_through_a_reload(page: Page) -> None:
    await log_in(page, EMAIL)
    await expect(page).to_have_url("/")
    await page.reload()
    await expect(page.get_by_label(f"Your account: {EMAIL}")).to_be_visible()


async def test_wrong_password_says_so_and_keeps_the_address(page: Page) -> None:
    await page.goto("/login")
    await page.get_by_label("Email address").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill("Wrong-Horse-7-Battery")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(page.get_by_label("Email address")).to_have_value(EMAIL)


async def test_button_of_a_password_says_what_it_shows(page: Page) -> None:
    await page.goto("/login")
    password = page.get_by_label("Password", exact=True)
    await page.get_by_role("button", name="Show: Password").click()
    await expect(password).to_have_attribute("type", "text")
    await page.get_by_role("button", name="Hide: Password").click()
    await expect(password).to_have_attribute("type", "password")


async def test_log_out_ends_the_session_in_every_tab(page: Page) -> None:
    await log_in(page, EMAIL)
    other = await page.context.new_page()
    await other.goto("/")
    await page.get_by_label(f"Your account: {EMAIL}").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(other.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()
