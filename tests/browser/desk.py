"""What an editor does at the desk again and again, in a browser and behind its back."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE, Site
from tests.helpers import PASSWORD

EDITOR = "desk@example.org"
DESK = re.compile("Editor.s desk")


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    """Of an editor, for what the test does by the API."""
    site.make_admin(EDITOR)
    body = {"email": EDITOR, "password": PASSWORD}
    return str(site.call("POST", "/v1/auth/login", json=body)["access_token"])


def make(site: Site, token: str, title: str, **fields: Any) -> dict[str, Any]:
    body = {"type": "story", "title": title, **fields}
    asset: dict[str, Any] = site.call("POST", "/v1/assets", token, json=body)
    return asset


def patch(site: Site, token: str, asset: dict[str, Any], **fields: Any) -> dict[str, Any]:
    now = site.call("GET", f"/v1/assets/{asset['id']}", token)
    headers = {
        "If-Match": f'"v{now["version"]}"',
        "Content-Type": "application/merge-patch+json",
    }
    path = f"/v1/assets/{asset['id']}"
    changed: dict[str, Any] = site.call("PATCH", path, token, json=fields, headers=headers)
    return changed


async def open_desk(page: Page, asset: dict[str, Any]) -> None:
    await page.goto(f"/desk/assets/{asset['id']}")
    await page.get_by_role("heading", level=1, name=asset["title"]).wait_for()


async def save(page: Page) -> None:
    await page.keyboard.press("Control+s")
    await expect(page.get_by_role("status").filter(has_text="Everything is saved")).to_be_visible()


async def send_file(page: Page, path: Path) -> None:
    await page.get_by_label("Drop files here").set_input_files(path)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await expect(page.locator(".master-file[data-state=ready]")).to_be_visible(timeout=3 * PATIENCE)
