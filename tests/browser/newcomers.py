"""What tests of registrations share."""

from uuid import uuid4

from playwright.async_api import Page, expect

from tests.helpers import PASSWORD

CREATED = "You have successfully created your account"


def new_address() -> str:
    """One that nobody has registered with."""
    return f"newcomer-{uuid4().hex}@example.org"


async def register(page: Page, address: str, *, return_to: str = "/") -> None:
    await page.goto(f"/register?return_to={return_to}")
    await page.get_by_label("Email address").fill(address)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_role("heading", name="Check your inbox")).to_be_visible()
