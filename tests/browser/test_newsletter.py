"""The newsletter as its readers meet it: by a mailed link, by one press, and in its archive."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Site, log_in
from tests.helpers import PASSWORD

pytestmark = pytest.mark.slow

EDITOR = "newsletter-editor@example.org"
BODY = """# Home again

Six ships **returned** on Tuesday. <script>document.title = "ran"</script>

- Pictures of the crews

::asset[line-up-card-1080p50]
"""


def mailed_link(site: Site, address: str, kind: str, *, after: int = 0) -> str:
    """The path of a link in the newest mail, as a mail program opens it."""
    found = re.search(rf"/newsletter/{kind}#token=\S+", site.mail(address, after=after)["text"])
    assert found is not None
    return found[0]


def send_edition(site: Site, subject: str) -> int:
    """The number of an edition that goes to everybody."""
    body = {"email": EDITOR, "password": PASSWORD}
    token = site.call("POST", "/v1/auth/login", json=body)["access_token"]
    texts = {
        "en": {"subject": subject, "preheader": "And more", "body": BODY},
        "fr": {"subject": f"{subject} (fr)", "body": "Six navires."},
    }
    edition = site.call(
        "POST",
        "/v1/newsletter/editions",
        token,
        json={"name": subject, "language": "en", "translations": texts},
    )
    path = f"/v1/newsletter/editions/{edition['id']}/send"
    site.call("POST", path, token, headers={"If-Match": "*"})
    number: int = edition["number"]
    return number


@pytest.fixture(scope="module", autouse=True)
def editor(site: Site) -> None:
    site.make_admin(EDITOR)


async def subscribe_as_visitor(page: Page, site: Site, address: str) -> None:
    await page.goto("/newsletter")
    await page.get_by_label("Email address").fill(address)
    await page.get_by_role("main").get_by_role("button", name="Subscribe").click()
    heading = page.get_by_role("heading", name="Check your inbox and confirm")
    await expect(heading).to_be_focused()
    await page.goto(mailed_link(site, address, "confirm"))
    await page.get_by_role("button", name="Subscribe").click()
    await expect(page.get_by_role("heading", name="You are subscribed")).to_be_focused()


async def test_visitor_confirms_by_mail_chooses_leaves_and_comes_back(
    page: Page, site: Site
) -> None:
    address = "visitor@example.org"
    await subscribe_as_visitor(page, site, address)
    await expect(page).to_have_url("/newsletter/confirm")

    await page.get_by_role("link", name="Choose topics").click()
    await expect(page).to_have_url("/newsletter/preferences")
    await page.get_by_label("All topics").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("at least one topic")).to_be_visible()
    await page.get_by_label("Photos").check()
    await page.get_by_label("A summary every week").check()
    await page.get_by_role("combobox", name="Language").select_option("Français")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Your choice is saved.")).to_be_visible()

    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("heading", name="You have left")).to_be_focused()
    await expect(page.get_by_text("Yes, please send me the newsletter")).to_be_visible()
    await page.get_by_role("button", name="Subscribe again").click()
    await expect(page.get_by_role("heading", name="Your newsletter")).to_be_focused()
    await expect(page.get_by_label("Photos")).to_be_checked()
    await expect(page.get_by_label("A summary every week")).to_be_checked()
    await expect(page.get_by_role("combobox", name="Language")).to_have_value("fr")


async def test_every_address_is_answered_in_the_same_words(page: Page, site: Site) -> None:
    site.sign_up("known@example.org")
    said = []
    for address in ("known@example.org", "never-seen@example.org"):
        await page.goto("/newsletter")
        await page.get_by_label("Email address").fill(address)
        await page.get_by_role("main").get_by_role("button", name="Subscribe").click()
        panel = page.get_by_role("region", name="Check your inbox and confirm")
        said.append((await panel.inner_text()).replace(address, "…"))
    assert said[0] == said[1]


async def test_link_to_leave_changes_nothing_until_its_button_is_pressed(
    page: Page, site: Site
) -> None:
    address = "leaver@example.org"
    await subscribe_as_visitor(page, site, address)
    sent = len(site.mails(address))
    send_edition(site, "Autumn on the water")
    link = mailed_link(site, address, "unsubscribe", after=sent)

    await page.goto(link)
    await expect(page).to_have_url("/newsletter/unsubscribe")
    await expect(page.get_by_text("l…r@example.org")).to_be_visible()
    await page.goto("/")
    await page.goto(link)
    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("heading", name="You have left")).to_be_focused()
    await page.goto("/")
    await page.goto(link)
    await expect(page.get_by_role("heading", name="You have left")).to_be_visible()
    await expect(page.get_by_role("button", name="Unsubscribe")).to_have_count(0)
    await page.get_by_role("link", name="Subscribe again").click()
    await expect(page).to_have_url("/newsletter")


async def test_change_of_another_window_is_shown_and_not_undone(page: Page, site: Site) -> None:
    await subscribe_as_visitor(page, site, "two-windows@example.org")
    link = await page.get_by_role("link", name="Choose topics").get_attribute("href")
    assert link is not None
    await page.goto(link)
    other = await page.context.new_page()
    await other.goto(link)
    await other.get_by_label("A summary every day").check()
    await other.get_by_role("button", name="Save").click()
    await expect(other.get_by_text("Your choice is saved.")).to_be_visible()

    await page.get_by_label("A summary every week").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("changed in another window")).to_be_visible()
    await expect(page.get_by_label("A summary every day")).to_be_checked()
    await page.get_by_label("A summary every week").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Your choice is saved.")).to_be_visible()


@pytest.mark.parametrize("page_of_a_link", ["preferences", "unsubscribe"])
async def test_whoever_is_logged_in_needs_no_mailed_link(
    page: Page, site: Site, page_of_a_link: str
) -> None:
    address = f"{page_of_a_link}@example.org"
    site.sign_up(address)
    await log_in(page, address)
    await page.goto(f"/newsletter/{page_of_a_link}")
    await expect(page.get_by_text(f"You are logged in as {address}")).to_be_visible()
    await page.get_by_role("link", name="The newsletter of my account").click()
    await expect(page).to_have_url("/account/newsletter")


async def test_links_without_or_with_a_wrong_token_say_so(page: Page) -> None:
    for kind in ("confirm", "unsubscribe", "preferences"):
        await page.goto(f"/newsletter/{kind}")
        await expect(page.get_by_text("This link is not complete")).to_be_visible()
    # A fragment alone opens another link in the same page.
    for kind in ("unsubscribe", "preferences"):
        await page.goto(f"/newsletter/{kind}")
        await page.goto(f"/newsletter/{kind}#token=cut-off")
        await expect(page).to_have_url(f"/newsletter/{kind}")
        await expect(page.get_by_text("This link is not complete")).to_be_visible()
    await page.goto("/newsletter/confirm#token=cut-off")
    await page.get_by_role("button", name="Subscribe").click()
    await expect(page.get_by_role("alert")).to_have_text(re.compile("not complete or has expired"))


async def test_unsubscribing_that_got_no_answer_can_be_pressed_again(
    page: Page, site: Site
) -> None:
    address = "tunnel@example.org"
    await subscribe_as_visitor(page, site, address)
    sent = len(site.mails(address))
    send_edition(site, "Into the tunnel")
    await page.goto(mailed_link(site, address, "unsubscribe", after=sent))
    leave = page.get_by_role("button", name="Unsubscribe")
    await expect(leave).to_be_visible()

    async def cut(route: Route) -> None:
        await route.abort()

    await page.route("**/v1/newsletter/unsubscribe/*", cut)
    await leave.click()
    await expect(page.get_by_role("alert")).to_have_text(re.compile("No answer came"))
    await page.unroute("**/v1/newsletter/unsubscribe/*")
    await leave.click()
    await expect(page.get_by_role("heading", name="You have left")).to_be_visible()


async def test_account_subscribes_by_one_press_and_looks_after_it(page: Page, site: Site) -> None:
    session = site.sign_up("one-press@example.org")
    path, token = "/v1/newsletter/subscription", session["access_token"]
    await log_in(page, "one-press@example.org")
    await page.goto("/newsletter")
    await page.get_by_role("button", name="Subscribe").click()
    await expect(page.get_by_role("heading", name="You are subscribed")).to_be_focused()
    assert site.call("GET", path, token)["status"] == "subscribed"

    await page.get_by_role("link", name="Choose topics").click()
    await expect(page).to_have_url("/account/newsletter")
    await page.get_by_label("All topics").uncheck()
    await page.get_by_label("Video").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Your choice is saved.")).to_be_visible()
    assert site.call("GET", path, token)["topics"] == ["videos"]

    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("button", name="Subscribe again")).to_be_visible()
    assert site.call("GET", path, token)["status"] == "unsubscribed"
    await page.get_by_role("button", name="Subscribe again").click()
    await expect(page.get_by_label("Video")).to_be_checked()


async def test_archive_shows_what_was_sent_as_text_of_the_page(page: Page, site: Site) -> None:
    number = send_edition(site, "The fleet is back")
    await page.goto("/newsletter")
    await page.get_by_role("link", name="The fleet is back", exact=True).first.click()
    await expect(page).to_have_url(f"/newsletter/archive/{number}")
    await expect(page.get_by_role("heading", name="The fleet is back")).to_be_visible()
    await expect(page.get_by_role("heading", name="Home again")).to_be_visible()
    await expect(page.locator("strong", has_text="returned")).to_be_visible()
    await expect(
        page.get_by_role("listitem").filter(has_text="Pictures of the crews")
    ).to_be_visible()
    assert await page.title() == "The fleet is back · Multimedia Account"
    await page.get_by_role("link", name="Français").click()
    await expect(page.locator("main [lang=fr]", has_text="Six navires.")).to_be_visible()
    await page.goto("/newsletter/archive/999999")
    await expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_screens_of_the_newsletter_have_no_barriers(
    page: Page, site: Site, scheme: str
) -> None:
    number = send_edition(site, f"Read in {scheme}")
    await subscribe_as_visitor(page, site, f"{scheme}@example.org")
    link = await page.get_by_role("link", name="Choose topics").get_attribute("href")
    assert link is not None
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.set_viewport_size({"width": 320, "height": 640})
    for path in ("/newsletter", f"/newsletter/archive/{number}", link, "/newsletter/unsubscribe"):
        await page.goto(path)
        await page.locator("h1").wait_for()
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
