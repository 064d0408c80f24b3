"""API keys: made, seen once, used, renewed and revoked by their owner."""

import re
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Dialog, Page, Route, expect

from tests.browser.conftest import Site, log_in
from tests.helpers import PASSWORD
from tests.programs import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
async def owner(page: Page, site: Site, request: pytest.FixtureRequest) -> str:
    """A new account, on the page of its keys; its access token."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-")[:60]
    address = f"{name}@keys.example.org"
    token: str = site.sign_up(address)["access_token"]
    await log_in(page, address)
    await page.goto("/account/keys")
    return token


async def make_key(page: Page, name: str, *, scope: str = "Follow changes") -> str:
    """Its secret, as the page shows it."""
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog", name="Make a key")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_label(scope).check()
    await dialog.get_by_role("button", name="Make a key").click()
    return await shown_secret(page, name)


async def shown_secret(page: Page, name: str) -> str:
    await expect(page.get_by_role("heading", name=f"The secret of “{name}”")).to_be_focused()
    return await page.get_by_role("group", name="The secret").inner_text()


def status(site: Site, key: str, path: str = "/v1/changes?limit=1") -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{site.url}{path}", headers=headers, timeout=30).status_code


async def test_key_is_shown_once_works_is_renewed_and_revoked(page: Page, site: Site) -> None:
    await expect(page.get_by_role("heading", name="What keys are for")).to_be_visible()
    key = await make_key(page, "Archive in Brest")
    assert key.startswith("mma_")
    assert status(site, key) == 200
    line = await page.get_by_role("group", name="Try it").inner_text()
    assert line == f'curl -H "Authorization: Bearer {key}" "{site.url}/v1/changes?limit=1"'
    await page.get_by_role("button", name="I have copied it").click()
    await expect(page.get_by_text(key)).to_have_count(0)
    await page.reload()
    await expect(page.get_by_role("heading", name="Archive in Brest")).to_be_visible()
    await expect(page.get_by_text(f"…{key[-4:]}")).to_be_visible()
    await expect(page.get_by_text(key)).to_have_count(0)

    await page.get_by_role("button", name="New secret").click()
    dialog = page.get_by_role("dialog", name="A new secret for")
    await dialog.get_by_label("The former secret works for").select_option("1 hour more")
    await dialog.get_by_role("button", name="New secret").click()
    renewed = await shown_secret(page, "Archive in Brest")
    assert (status(site, key), status(site, renewed)) == (200, 200)
    await expect(page.get_by_text(f"The former secret, …{key[-4:]}, works until")).to_be_visible()

    await page.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog", name="Revoke “Archive in Brest”?")
    await dialog.get_by_role("button", name="Cancel").click()
    assert status(site, renewed) == 200
    await page.get_by_role("button", name="Revoke").click()
    await dialog.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("No key works at present.")).to_be_visible()
    eventually(lambda: (status(site, key), status(site, renewed)) == (401, 401))
    await page.get_by_text("1 key that has ended").click()
    await expect(page.get_by_text("revoked", exact=True)).to_be_visible()


async def test_refusal_that_comes_late_stays_out_of_the_next_question(page: Page) -> None:
    for name in ("Brest", "Kiel"):
        await make_key(page, name)
        await page.get_by_role("button", name="I have copied it").click()
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/v1/api-keys/*", hold, times=1)
    revoking = page.get_by_role("button", name="Revoke")
    await revoking.first.click()
    question = page.get_by_role("dialog", name=re.compile("^Revoke"))
    await question.get_by_role("button", name="Revoke").click()
    while not held:
        await page.wait_for_timeout(50)
    await question.get_by_role("button", name="Cancel").click()
    await revoking.last.click()
    await held[0].abort()
    await page.wait_for_timeout(300)
    await expect(question.get_by_role("alert")).to_be_hidden()
    await question.get_by_role("button", name="Revoke").click()
    await expect(revoking).to_have_count(1)


def used_by(site: Site, token: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = site.call("GET", "/v1/usage", token)["items"]
    return rows


async def want_password(route: Route) -> None:
    """What the API says from a quarter of an hour after the log-in."""
    body = {"code": "reauthentication_required", "title": "Give the password again"}
    await route.fulfill(status=403, json=body, content_type="application/problem+json")


async def test_password_is_asked_for_when_it_was_not_given_lately(page: Page, site: Site) -> None:
    await page.route("**/v1/api-keys", want_password, times=1)
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog", name="Make a key")
    await dialog.get_by_label("Name").fill("Newsroom")
    await dialog.get_by_role("button", name="Make a key").click()
    question = page.get_by_role("dialog", name="Your password, please")
    await question.get_by_label("Password", exact=True).fill("Wrong-Horse-7-Battery")
    await page.keyboard.press("Enter")
    await expect(question.get_by_label("Password", exact=True)).to_be_focused()
    await expect(question.get_by_role("alert")).to_be_visible()
    await question.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.keyboard.press("Enter")
    key = await shown_secret(page, "Newsroom")
    assert status(site, key, "/v1/assets?limit=1") == 200


async def test_turning_away_from_the_password_keeps_the_form_and_makes_nothing(page: Page) -> None:
    await page.route("**/v1/api-keys", want_password, times=1)
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog", name="Make a key")
    await dialog.get_by_label("Name").fill("Newsroom")
    await dialog.get_by_role("button", name="Make a key").click()
    await page.get_by_role("dialog", name="Your password, please").wait_for()
    await page.keyboard.press("Escape")
    await expect(dialog.get_by_label("Name")).to_have_value("Newsroom")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("heading", name="What keys are for")).to_be_visible()


async def test_key_whose_answer_was_lost_is_made_once_and_said_to_be_there(page: Page) -> None:
    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/v1/api-keys", lose, times=1)
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog", name="Make a key")
    await dialog.get_by_label("Name").fill("Tunnel")
    await dialog.get_by_role("button", name="Make a key").click()
    await expect(dialog.get_by_role("alert")).to_have_text(re.compile("No answer came"))
    await dialog.get_by_role("button", name="Make a key").click()
    await expect(dialog.get_by_role("alert")).to_have_text(re.compile("the key is in the list"))
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("heading", name="1 key that works")).to_be_visible()


async def test_key_is_shown_also_to_who_turned_away_while_it_was_made(page: Page) -> None:
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/v1/api-keys", hold, times=1)
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog", name="Make a key")
    await dialog.get_by_label("Name").fill("Hasty")
    async with page.expect_request("**/v1/api-keys"):
        await dialog.get_by_role("button", name="Make a key").click()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await held[0].continue_()
    await shown_secret(page, "Hasty")


async def test_leaving_with_a_secret_on_the_page_asks_first(page: Page) -> None:
    key = await make_key(page, "Not yet copied")
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    page.once("dialog", stay)
    await page.get_by_role("link", name="Videos").click()
    await expect(page.get_by_text(key, exact=True)).to_be_visible()
    assert asked == ["The secret of your key is shown only now. Leave without it?"]


async def test_use_of_a_key_is_what_was_done_with_it(page: Page, site: Site, owner: str) -> None:
    key = await make_key(page, "Counted")
    for _ in range(3):
        assert status(site, key) == 200
    eventually(lambda: [row["calls"] for row in used_by(site, owner)] == [3])
    await page.get_by_text("Use in the last 30 days").click()
    await expect(page.get_by_text("Calls: 3 (")).to_be_visible()
    await expect(page.get_by_role("row").nth(1).get_by_role("cell").first).to_have_text("3")


async def test_what_a_key_may_do_must_be_chosen(page: Page) -> None:
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog", name="Make a key")
    await dialog.get_by_label("Name").fill("Nothing")
    await dialog.get_by_label("Read the catalogue").uncheck()
    await dialog.get_by_label("Download files").uncheck()
    await dialog.get_by_role("button", name="Make a key").click()
    await expect(dialog.get_by_label("Read the catalogue")).to_be_focused()
    await expect(dialog.get_by_text("Choose at least one")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_keys_have_no_barriers(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.set_viewport_size({"width": 320, "height": 640})
    await make_key(page, "x" * 200)
    await page.get_by_text("Use in the last 30 days").click()
    await expect(page.get_by_text("Not used in these days.")).to_be_visible()
    await expect_no_barriers(page)
    await page.get_by_role("button", name="New secret").click()
    await page.get_by_role("dialog").wait_for()
    await expect_no_barriers(page)


async def expect_no_barriers(page: Page) -> None:
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
