"""The link of a registration's mail, on the device that registered and on another."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE, Site
from tests.browser.newcomers import CREATED, new_address, register
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow


@pytest.fixture
def address() -> str:
    return new_address()


def link(site: Site, address: str) -> str:
    found = re.search(r"https?://\S+/verify#token=\S+", site.mail(address)["text"])
    assert found is not None
    return found[0].rstrip(".)")


async def test_link_on_the_same_device_needs_a_button_and_the_waiting_tab_goes_on(
    page: Page, site: Site, address: str
) -> None:
    await register(page, address, return_to="/account")
    other = await page.context.new_page()
    await other.goto(link(site, address))
    await expect(other.get_by_role("heading", name="Confirm your email address")).to_be_visible()
    await expect(other).to_have_url("/verify")
    await expect(other.get_by_label("Password")).to_have_count(0)
    await other.get_by_role("button", name="Create my account").click()
    await expect(other.get_by_role("heading", name=CREATED)).to_be_visible()
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()
    await expect(page.get_by_role("link", name="Back to where you were")).to_be_visible()


async def test_link_that_is_pasted_into_the_waiting_tab_is_followed(
    page: Page, site: Site, address: str
) -> None:
    await register(page, address)
    await expect(page).to_have_url("/verify")
    await page.goto(link(site, address))
    await page.get_by_role("button", name="Create my account").click()
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


async def test_link_on_another_device_asks_for_the_password(
    page: Page, site: Site, address: str, browser: Browser
) -> None:
    await register(page, address)
    async with await browser.new_context(locale="en-GB") as phone:
        phone.set_default_timeout(PATIENCE)
        there = await phone.new_page()
        await there.goto(link(site, address))
        password = there.get_by_label("Password that you registered with", exact=True)
        await password.fill("Wrong-Horse-7-Battery")
        await there.get_by_role("button", name="Create my account").click()
        await expect(password).to_be_focused()
        await expect(there.get_by_text("not the one you registered with")).to_be_visible()
        await password.fill(PASSWORD)
        await there.get_by_role("button", name="Create my account").click()
        await expect(there.get_by_role("heading", name=CREATED)).to_be_visible()


async def test_link_of_another_registration_goes_on_with_its_password(
    page: Page, site: Site, address: str
) -> None:
    await register(page, address)
    await register(page, new_address())
    await page.goto(link(site, address))
    await page.get_by_role("button", name="Create my account").click()
    await expect(page.get_by_role("alert")).to_contain_text("This link no longer works")
    await page.get_by_role("button", name="Confirm it with its password").click()
    await page.get_by_label("Password that you registered with", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create my account").click()
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()
