"""From "Create an account" by the mailed code to "From now on you can download videos"."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from app.adapters import embedded_postgres
from tests.browser.conftest import Site
from tests.browser.newcomers import CREATED, new_address, register
from tests.browser.storage import BLOCKED
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow


@pytest.fixture
def address() -> str:
    return new_address()


@pytest.fixture
async def database(site: Site) -> AsyncIterator[asyncpg.Connection]:
    server = embedded_postgres.start(site.folder / "var")
    connection = await asyncpg.connect(server.url())
    yield connection
    await connection.close()
    server.stop()


async def test_registration_by_code_leads_to_the_newsletter_and_back(
    page: Page, site: Site, address: str
) -> None:
    await page.goto("/register?return_to=/account/security")
    await page.get_by_label("Email address").fill(address)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_text("About you (optional)").click()
    await page.get_by_label("Name").fill("Jane Doe")
    await page.get_by_label("Country or territory").select_option("Belgium")
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_role("main")).to_contain_text(address)
    await expect(page.get_by_role("timer")).to_have_text(re.compile(r"^(30:00|29:\d\d)$"))
    await page.get_by_label("Verification code").fill(site.code(address).replace(" ", "-"))

    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()
    await page.get_by_role("button", name="Subscribe to our newsletter").click()
    await expect(page.get_by_role("main").get_by_role("status")).to_contain_text(
        "You are subscribed"
    )
    preferences = page.get_by_role("link", name="Choose topics, how often and the language")
    await expect(preferences).to_have_attribute("href", "/account/newsletter")
    await page.get_by_role("link", name="Back to where you were").click()
    await expect(page).to_have_url("/account/security")

    body = {"email": address, "password": PASSWORD}
    session = site.call("POST", "/v1/auth/login", json=body)
    assert session["account"]["full_name"] == "Jane Doe"
    assert session["account"]["country"] == "BE"
    token = session["access_token"]
    assert site.call("GET", "/v1/newsletter/subscription", token)["status"] == "subscribed"


async def test_registration_needs_no_storage(page: Page, site: Site, address: str) -> None:
    await page.add_init_script(BLOCKED)
    await register(page, address)
    await page.get_by_label("Verification code").fill(site.code(address))
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


async def test_rules_of_the_password_are_ticked_and_told_while_one_types(
    page: Page, address: str
) -> None:
    await page.goto("/register")
    rules = page.get_by_role("list", name="Rules for the password").get_by_role("listitem")
    await expect(rules).to_have_count(8)
    await expect(rules.filter(has_text="At least 12 characters")).to_contain_text("Not met yet:")
    await page.get_by_label("Email address").fill(address)
    password = page.get_by_label("Password", exact=True)
    await password.press_sequentially("Example 1")
    await expect(rules.filter(has_text="A number")).to_contain_text("Met:")
    await expect(rules.filter(has_text="No spaces")).to_contain_text("Not met:")
    await expect(rules.filter(has_text="Without your email")).to_contain_text("Not met:")
    await expect(page.locator("#said")).to_contain_text("Still missing: At least 12 characters; ")

    await password.fill("Password123!!")
    await expect(page.locator("#said")).to_have_text("The password meets the rules.")
    await page.keyboard.press("Enter")
    await expect(password).to_be_focused()
    await expect(password).to_have_attribute("aria-invalid", "true")
    await expect(rules.filter(has_text="many people use")).to_contain_text("Not met:")
    await expect(page).to_have_url("/register")


async def test_another_code_can_be_sent_after_a_minute_and_replaces_the_first(
    page: Page, site: Site, address: str
) -> None:
    await page.clock.install()
    await register(page, address)
    first = site.code(address)
    again = page.get_by_role("button", name="Send new code")
    await expect(again).to_have_attribute("aria-disabled", "true")
    await again.click(force=True)
    assert len(site.mails(address)) == 1

    await page.clock.fast_forward("01:01")
    await expect(again).to_have_attribute("aria-disabled", "false")
    await again.click()
    sent = page.get_by_role("main").get_by_role("status")
    await expect(sent).to_contain_text(f"A new code is on its way to {address}")
    await expect(again).to_have_attribute("aria-disabled", "true")
    second = site.code(address, after=1)
    await page.get_by_label("Verification code").fill(first)
    await expect(page.get_by_text("This code is not right, or no longer works")).to_be_visible()
    await page.get_by_label("Verification code").fill(second)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


async def test_five_wrong_tries_end_a_code_and_the_next_one_works(
    page: Page, site: Site, address: str
) -> None:
    await page.clock.install()
    await register(page, address)
    right = site.code(address)
    code = page.get_by_label("Verification code")
    await code.fill("1234 567")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Please enter all eight digits")).to_be_visible()
    await code.fill("00000000" if right != "0000 0000" else "11111111")
    for _ in range(4):
        await expect(page.get_by_text("This code is not right")).to_be_visible()
        await expect(code).to_be_focused()
        async with page.expect_response("**/verify"):
            await page.keyboard.press("Enter")
    await expect(page.get_by_text("there were too many wrong tries")).to_be_visible()
    await code.fill(right)
    async with page.expect_response("**/verify") as answer:
        await page.keyboard.press("Enter")
    assert (await answer.value).status == 422

    await page.clock.fast_forward("01:01")
    await page.get_by_role("button", name="Send new code").click()
    await code.fill(site.code(address, after=1))
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


async def test_expired_code_says_so_and_a_new_one_takes_its_place(
    page: Page, site: Site, address: str, database: asyncpg.Connection
) -> None:
    await page.clock.install()
    await register(page, address)
    code = site.code(address)
    await page.clock.fast_forward("25:01")
    await expect(page.locator("#said")).to_have_text("The code expires in 5 minutes.")
    await page.clock.fast_forward("05:00")
    await expect(page.locator("#said")).to_contain_text("This code has expired")
    await database.execute(
        "UPDATE verification_code SET issued_at = issued_at - interval '30 min', "
        "expires_at = expires_at - interval '30 min' WHERE flow_id = "
        "(SELECT id FROM verification_flow WHERE email = $1)",
        address,
    )
    await page.get_by_label("Verification code").fill(code)
    await expect(page.get_by_label("Verification code")).to_have_attribute("aria-invalid", "true")

    await page.get_by_role("button", name="Send new code").click()
    await expect(page.get_by_role("timer")).to_be_visible()
    await page.get_by_label("Verification code").fill(site.code(address, after=1))
    await expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


async def test_flow_that_the_api_has_forgotten_leads_back_to_the_start(
    page: Page, address: str, database: asyncpg.Connection
) -> None:
    await page.clock.install()
    await register(page, address)
    await database.execute("DELETE FROM verification_flow WHERE email = $1", address)
    await page.clock.fast_forward("01:01")
    await page.get_by_role("button", name="Send new code").click()
    await page.get_by_role("link", name="Start again", exact=True).click()
    await expect(page).to_have_url("/register")


async def test_registration_goes_on_after_the_page_was_thrown_away(
    page: Page, site: Site, address: str
) -> None:
    await register(page, address)
    await page.close()
    later = await page.context.new_page()
    await later.goto("/verify")
    await expect(later.get_by_role("main")).to_contain_text(address)
    await later.get_by_label("Verification code").fill(site.code(address))
    await expect(later.get_by_role("heading", name=CREATED)).to_be_visible()
    await later.goto("/verify")
    await expect(later.get_by_role("heading", name="There is no code to enter")).to_be_visible()


async def test_registration_without_a_line_says_so_and_keeps_what_was_typed(
    page: Page, address: str
) -> None:
    await page.goto("/register")
    await page.get_by_label("Email address").fill(address)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.context.set_offline(True)
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_role("alert")).to_contain_text("No answer came")
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()


async def test_somebody_who_reads_french_gets_french_pages_and_mail(
    browser: Browser, site: Site, address: str
) -> None:
    async with await browser.new_context(base_url=site.url, locale="fr-CA") as context:
        page = await context.new_page()
        await page.goto("/register")
        await page.get_by_label("Adresse électronique").fill(address)
        await page.get_by_label("Mot de passe", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Créer un compte").click()
        heading = page.get_by_role("heading", name="Consultez votre boîte de réception")
        await expect(heading).to_be_visible()
        assert "votre code" in site.mail(address)["subject"]
