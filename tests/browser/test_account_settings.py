"""Keeping an account: password and devices, address, profile, and its end."""

import json
import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Browser, Dialog, Page, expect

from tests.browser.conftest import PATIENCE, Site, log_in
from tests.helpers import NEW_PASSWORD, PASSWORD

pytestmark = pytest.mark.slow


@pytest.fixture
def address(site: Site) -> str:
    """Of an account that nobody else uses."""
    new = f"member-{uuid4().hex}@example.org"
    site.sign_up(new)
    return new


def link(site: Site, address: str, page: str, *, after: int) -> str:
    found = re.search(rf"https?://\S+/{page}#token=[\w-]+", site.mail(address, after=after)["text"])
    assert found is not None
    return found[0]


def login_status(site: Site, address: str, password: str) -> int:
    body = {"email": address, "password": password}
    return httpx.post(f"{site.url}/v1/auth/login", json=body, timeout=30).status_code


async def ask_for_reset(page: Page, address: str) -> None:
    await page.get_by_label("Enter the email you registered with").fill(address)
    await page.get_by_role("button", name="Send the code").click()
    await expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()


async def create_password(page: Page, password: str) -> None:
    await page.get_by_label("New password", exact=True).fill(password)
    await page.get_by_role("button", name="Save the password").click()


async def test_forgotten_password_is_reset_by_code_and_leads_back_to_the_page(
    page: Page, site: Site, address: str
) -> None:
    sent = len(site.mails(address))
    await page.goto("/login?return_to=/account/security")
    await page.get_by_role("link", name="Forgot your password?").click()
    await ask_for_reset(page, address)
    await page.get_by_label("Verification code").fill(site.code(address, after=sent))
    await expect(page.get_by_role("heading", name="Create a new password")).to_be_visible()
    await create_password(page, "Password123!!")
    await expect(page.get_by_text("does not meet all the rules")).to_be_visible()
    await create_password(page, NEW_PASSWORD)
    await expect(page.get_by_role("heading", name="Your password has been updated")).to_be_visible()
    await page.reload()
    back = page.get_by_role("link", name="Back to the page you were on")
    await expect(back).to_have_attribute("href", "/account/security")
    assert login_status(site, address, PASSWORD) == 401
    assert login_status(site, address, NEW_PASSWORD) == 200


async def test_reset_by_link_on_another_device_ends_the_session_here(
    page: Page, site: Site, address: str, browser: Browser
) -> None:
    await log_in(page, address)
    sent = len(site.mails(address))
    await page.goto("/reset")
    await ask_for_reset(page, address)
    async with await browser.new_context(locale="en-GB") as phone:
        phone.set_default_timeout(PATIENCE)
        there = await phone.new_page()
        await there.goto(link(site, address, "reset", after=sent))
        await expect(there).to_have_url(f"{site.url}/reset")
        await there.get_by_role("button", name="Choose a new password").click()
        await create_password(there, NEW_PASSWORD)
        await expect(there.get_by_role("heading", name="has been updated")).to_be_visible()
    await page.goto("/account")
    await expect(page).to_have_url("/login?return_to=%2Faccount")


async def test_reset_link_that_is_no_longer_good_says_so_and_lets_one_start_again(
    page: Page,
) -> None:
    await page.goto("/reset#token=AAAAAAAAAAAAAAAAAAAAAA")
    await page.get_by_role("button", name="Choose a new password").click()
    await expect(page.get_by_role("alert")).to_contain_text("This link no longer works")
    await page.get_by_role("button", name="Start again").click()
    await expect(page.get_by_label("Enter the email you registered with")).to_be_visible()


async def test_devices_are_logged_out_one_by_one_and_all_at_once(
    page: Page, site: Site, address: str, browser: Browser
) -> None:
    await log_in(page, address)
    async with await browser.new_context(base_url=site.url, locale="en-GB") as phone:
        phone.set_default_timeout(PATIENCE)
        there = await phone.new_page()
        await log_in(there, address)
        await page.goto("/account/security")
        devices = page.get_by_role("region", name="Devices")
        await expect(devices.get_by_role("listitem")).to_have_count(3)  # sign_up opened one
        this = devices.get_by_role("listitem").filter(has_text="This device")
        await expect(this).to_have_count(1)
        await expect(this.get_by_role("button")).to_have_count(0)
        await devices.get_by_role("button", name="Log out: Chrome on Linux").click()
        await expect(devices.get_by_role("status")).to_contain_text("was logged out")
        await expect(devices.get_by_role("listitem")).to_have_count(2)
        await there.goto("/account")
        await expect(there).to_have_url("/login?return_to=%2Faccount")

    await devices.get_by_role("button", name="Log out all other devices").click()
    await expect(devices.get_by_role("listitem")).to_have_count(1)
    await page.reload()
    await expect(devices).to_contain_text("You are logged in nowhere else")


async def test_password_is_changed_and_the_other_devices_are_logged_out(
    page: Page, site: Site, address: str
) -> None:
    await log_in(page, address)
    await page.goto("/account/security")
    current = page.get_by_label("Current password", exact=True)
    await current.fill("Wrong-Horse-7-Battery")
    await create_password(page, NEW_PASSWORD)
    await expect(current).to_be_focused()
    await expect(current).to_have_attribute("aria-invalid", "true")
    await current.fill(PASSWORD)
    await create_password(page, NEW_PASSWORD)
    await expect(page.get_by_text("Your password has been updated.")).to_be_visible()
    await expect(current).to_have_value("")
    await expect(page.get_by_role("region", name="Devices").get_by_role("listitem")).to_have_count(
        1
    )
    assert login_status(site, address, NEW_PASSWORD) == 200


async def test_address_is_changed_by_code_and_its_former_mailbox_undoes_it(
    page: Page, site: Site, address: str
) -> None:
    new, sent = f"new-{address}", len(site.mails(address))
    await log_in(page, address)
    await page.goto("/account")
    await page.get_by_role("button", name="Change the email address").click()
    await expect(page.get_by_label("New email address")).to_be_focused()
    await page.get_by_label("New email address").fill(new)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Send the code").click()
    await expect(page.get_by_label("Verification code")).to_be_focused()
    await page.reload()
    await page.get_by_label("Verification code").fill(site.code(new))
    await expect(page.get_by_text("Your email address was changed.")).to_be_visible()
    await expect(page.get_by_label(f"Your account: {new}")).to_be_visible()

    await page.goto(link(site, address, "undo", after=sent))
    await page.get_by_role("button", name="Give my account back").click()
    await expect(page.get_by_text("back at its former address")).to_be_visible()
    await expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()
    await create_password(page, NEW_PASSWORD)
    await expect(page.get_by_role("heading", name="Your password has been updated")).to_be_visible()
    assert login_status(site, address, NEW_PASSWORD) == 200
    assert login_status(site, new, NEW_PASSWORD) == 401


async def test_profile_is_kept_and_everything_held_can_be_downloaded(
    page: Page, address: str, tmp_path: Path
) -> None:
    await log_in(page, address)
    await page.goto("/account")
    await page.get_by_label("Organisation").fill("Harbour TV")
    await page.get_by_label("Country or territory").select_option("CI")
    await page.get_by_label("Language of our mails").select_option("Français")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Organisation")).to_have_value("Harbour TV")
    await expect(page.get_by_label("Language of our mails")).to_have_value("fr")

    async with page.expect_download() as started:
        await page.get_by_role("button", name="Download my data").click()
    await (await started.value).save_as(tmp_path / "held.json")
    held = json.loads((tmp_path / "held.json").read_text())
    assert held["account"]["email"] == address
    assert held["account"]["country"] == "CI"


async def test_changes_that_are_not_saved_are_not_lost_without_a_question(
    page: Page, address: str
) -> None:
    await log_in(page, address)
    await page.goto("/account")
    await page.get_by_label("Organisation").fill("Harbour TV")
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    page.once("dialog", stay)
    await page.get_by_role("main").get_by_role("link", name="Password and devices").click()
    await expect(page.get_by_label("Organisation")).to_have_value("Harbour TV")
    assert len(asked) == 1


async def test_account_is_deleted_after_the_password_and_a_last_question(
    page: Page, site: Site, address: str
) -> None:
    await log_in(page, address)
    await page.goto("/account")
    await page.get_by_role("link", name="Delete my account").click()
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Delete my account").click()
    await expect(page.get_by_role("dialog").get_by_role("button", name="Keep")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert login_status(site, address, PASSWORD) == 200

    await page.get_by_role("button", name="Delete my account").click()
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page).to_have_url("/")
    await expect(page.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()
    assert login_status(site, address, PASSWORD) == 401
