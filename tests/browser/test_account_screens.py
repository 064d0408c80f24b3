"""Every screen of the account: no findings of axe, and nothing that scrolls sideways on a phone."""

from typing import Literal
from uuid import uuid4

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import PATIENCE, Site, log_in
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow

OF_VISITORS = ("/login", "/register", "/verify", "/reset", "/undo")
OF_LINKS = ("/verify#token=AAAA", "/reset#token=AAAA", "/undo#token=AAAA")
OF_MEMBERS = ("/welcome", "/account", "/account/security", "/account/delete")


async def assert_fine(page: Page) -> None:
    await expect(page.locator("main h1")).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_screens_of_the_account_are_accessible_and_fit_a_phone(
    scheme: Literal["light", "dark"], browser: Browser, site: Site
) -> None:
    address = f"somebody.with.a.rather.long.address.{uuid4().hex[:8]}@example.org"
    site.sign_up(address)
    viewport = ViewportSize(width=320, height=640)
    async with await browser.new_context(
        base_url=site.url, locale="en-GB", color_scheme=scheme, viewport=viewport
    ) as context:
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        for path in OF_VISITORS + OF_LINKS:
            await page.goto("about:blank")
            await page.goto(path)
            await assert_fine(page)
        await page.goto("/register")
        await page.get_by_label("Email address").fill(address)
        await page.get_by_label("Password", exact=True).fill("no good")
        await page.get_by_text("About you (optional)").click()
        await page.get_by_role("button", name="Create an account").click()
        await expect(page.get_by_label("Password", exact=True)).to_be_focused()
        await assert_fine(page)
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Create an account").click()
        await page.get_by_label("Verification code").fill("0000 0000")
        await expect(page.get_by_text("This code is not right")).to_be_visible()
        await assert_fine(page)
        await log_in(page, address)
        for path in OF_MEMBERS:
            await page.goto(path)
            await assert_fine(page)
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Delete my account").click()
        await assert_fine(page)
