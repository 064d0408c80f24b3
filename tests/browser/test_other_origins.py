"""The app on a static host of its own, edited as docs/browser-app.md says; the API elsewhere."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import BrowserContext, Page, expect

from app.routers.browser_app import FOLDER
from tests.browser.conftest import OpenContext, Site
from tests.browser.measures import until
from tests.browser.static_host import static_host
from tests.helpers import PASSWORD
from tests.programs import PROJECT, free_ports, program

pytestmark = pytest.mark.slow

CARD = "/assets/line-up-card-1080p50"
CALLS = """async () => {
    const { call } = await import("/ui/api.js");
    const all = await Promise.all([call("/v1/account"), call("/v1/account")]);
    return all.map(({ email }) => email);
}"""
HAS_CUES = "[...document.querySelector('video').textTracks].every(({ cues }) => cues?.length > 0)"
Transport = Literal["cookie", "bearer"]
Hosts = dict[Transport, str]


@pytest.fixture(scope="module")
def hosts(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Hosts]]:
    """The API, and two hosts of the app: one on its site (ports don't matter), one on another."""
    folder = tmp_path_factory.mktemp("elsewhere")
    same, foreign = free_ports(2)
    hosts: Hosts = {"cookie": f"http://127.0.0.1:{same}", "bearer": f"http://localhost:{foreign}"}
    settings = {"APP_URL": hosts["cookie"], "CORS_ORIGINS": hosts["bearer"], "RATE_LIMITS": "off"}
    with program(site.folder, "serve", "--no-worker", **settings) as server, ExitStack() as stack:
        api = server.wait_until_it_serves(within=180)
        for transport, port in (("cookie", same), ("bearer", foreign)):
            copy = edited_copy(folder / transport, api, with_bearer=transport == "bearer")
            stack.enter_context(static_host(copy, port))
        yield Site(api, site.folder), hosts


def edited_copy(folder: Path, api: str, *, with_bearer: bool) -> Path:
    """Made by the very lines of the documentation."""
    text = (PROJECT / "docs/browser-app.md").read_text()
    edits, bearer = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert edits.startswith("api=https://api.example.org\n")
    script = edits.replace("https://api.example.org", api) + (bearer if with_bearer else "")
    shutil.copytree(FOLDER, folder)
    subprocess.run(["/bin/bash", "-ec", script], cwd=folder, check=True)
    return folder


@pytest.fixture(params=["cookie", "bearer"])
def transport(request: pytest.FixtureRequest) -> Transport:
    transport: Transport = request.param
    return transport


@pytest.fixture
async def context(
    open_context: OpenContext, hosts: tuple[Site, Hosts], transport: Transport
) -> BrowserContext:
    context = await open_context(base_url=hosts[1][transport])
    # A file chooser is not for a test to press; without one the browser downloads by itself.
    await context.add_init_script("delete window.showSaveFilePicker")
    return context


async def register(page: Page, api: Site, email: str) -> None:
    await page.goto(f"/register?return_to={CARD}")
    await page.get_by_label("Email address").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_label("Verification code").fill(api.code(email))
    await expect(page.get_by_label(f"Your account: {email}")).to_be_visible()


async def shows_what_the_api_has(page: Page, api: Site) -> None:
    """A preview with captions, and pictures of other assets as they come into view."""
    video = page.locator("video")
    await expect(video).to_have_attribute("src", re.compile(re.escape(api.url)))
    await until(page, "document.querySelector('video').readyState >= 1")
    assert await video.evaluate("({ textTracks }) => textTracks.length") > 0
    await video.evaluate(
        "({ textTracks }) => { for (const each of textTracks) each.mode = 'hidden'; }"
    )
    await until(page, HAS_CUES)
    pictures = page.get_by_role("main").locator("img")
    await expect(pictures.first).to_be_attached()
    for number in range(await pictures.count()):
        await pictures.nth(number).scroll_into_view_if_needed()
        await until(page, f"document.querySelectorAll('main img')[{number}].naturalWidth > 0")


async def test_app_works_from_another_origin(
    page: Page, hosts: tuple[Site, Hosts], transport: Transport
) -> None:
    api, app_url = hosts[0], hosts[1]["cookie"]
    email = f"{transport}@example.org"
    await register(page, api, email)
    assert f"{app_url}/verify#token=" in api.mail(email)["text"]
    await page.reload()
    await expect(page.get_by_label(f"Your account: {email}")).to_be_visible()

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=10))
    assert await page.evaluate(CALLS) == [email] * 2
    assert asked.count(f"{api.url}/v1/auth/refresh") == 1

    await page.goto(CARD)
    await shows_what_the_api_has(page, api)
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Download").first.click()
    file = (await (await waiting.value).path()).read_bytes()
    renditions = api.call("GET", f"/v1{CARD}")["renditions"]
    assert sha256(file).hexdigest() in {each["sha256"] for each in renditions}

    token = await page.evaluate("localStorage.getItem('refresh-token')")
    assert (token is not None) == (transport == "bearer")
    await page.get_by_label(f"Your account: {email}").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0
    await page.reload()
    await expect(page.get_by_role("banner").get_by_role("link", name="Register")).to_be_visible()
    if token is not None:
        body = {"refresh_token": token}
        answer = await page.request.post(f"{api.url}/v1/auth/refresh", data=body)
        assert answer.status == 401
