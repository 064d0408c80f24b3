"""A real browser on a real server: Debian's chromium, driven by Playwright."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    async_playwright,
    expect,
)

from tests.helpers import PASSWORD
from tests.programs import PROJECT, eventually, program

# Milliseconds. Other tests may have the machine busy.
PATIENCE = 20_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OpenContext = Callable[..., Awaitable[BrowserContext]]
expect.set_options(timeout=PATIENCE)
HOW_TO_INSTALL = (
    "There is no chromium here; on Debian: "
    "apt-get install --no-install-recommends chromium fonts-dejavu-core"
)


@dataclass
class Site:
    """The server that a browser visits, and what a test needs to know behind the browser's back."""

    url: str
    folder: Path

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {})}
        headers |= options.pop("headers", {})
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=30, **options)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def mails(self, address: str) -> list[dict[str, Any]]:
        """Newest first."""
        items: list[dict[str, Any]] = self.call("GET", f"/dev/mail?to={address}")["items"]
        return items

    def mail(self, address: str, *, after: int = 0) -> dict[str, Any]:
        """The newest mail, once there are more than `after`."""
        eventually(lambda: len(self.mails(address)) > after)
        return self.mails(address)[0]

    def code(self, address: str, *, after: int = 0) -> str:
        found = re.search(r"\b\d{4} \d{4}\b", self.mail(address, after=after)["text"])
        assert found is not None
        return found[0]

    def sign_up(self, address: str, *, password: str = PASSWORD) -> dict[str, Any]:
        """An account, made by the API; the session of its first log-in."""
        sent = len(self.mails(address))
        body = {"email": address, "password": password}
        flow = self.call("POST", "/v1/auth/register", json=body)["flow_id"]
        body = {"flow_id": flow, "code": self.code(address, after=sent)}
        answer = self.call("POST", "/v1/verification-codes/verify", json=body)
        session: dict[str, Any] = answer["session"]
        return session

    def make_admin(self, address: str) -> None:
        """An account that may do everything, with the usual password."""
        subprocess.run(
            [sys.executable, "-m", "app", "create-admin", address],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(self.folder / "var")},
            input=PASSWORD.encode(),
            check=True,
            capture_output=True,
        )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with program(folder, "serve", "--demo", RATE_LIMITS="off") as server:
        yield Site(server.wait_until_it_serves(within=180), folder)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail(HOW_TO_INSTALL)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """What went wrong on any page; a test that expects something takes it out."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
async def open_context(
    browser: Browser, site: Site, failures: list[str]
) -> AsyncIterator[OpenContext]:
    """Open a browser that has never been here; `options` are Playwright's, such as `locale`."""
    async with AsyncExitStack() as stack:

        async def opened(**options: Any) -> BrowserContext:
            context = await new_context(browser, site, **options)
            context.on("page", lambda page: watch(page, failures))
            return await stack.enter_async_context(context)

        yield opened


async def new_context(browser: Browser, site: Site, **options: Any) -> BrowserContext:
    given = {"base_url": site.url, "locale": "en-GB", **options}
    context = await browser.new_context(**given)
    context.set_default_timeout(PATIENCE)
    return context


@pytest.fixture
async def context(open_context: OpenContext) -> BrowserContext:
    return await open_context()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    """A page on which no script may fail, and nothing break its security policy."""
    return await context.new_page()


def watch(page: Page, failures: list[str]) -> None:
    """Note what fails. That an API refuses, or is away, is no failure of the page."""

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            failures.append(message.text)

    def check(response: Response) -> None:
        if urlsplit(response.url).path.startswith("/ui/") and response.status >= 400:
            failures.append(f"{response.status} {response.url}")

    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", hear)
    page.on("response", check)


async def log_in(page: Page, address: str, *, password: str = PASSWORD) -> None:
    await page.goto("/login")
    await page.get_by_label("Email address").fill(address)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("main").get_by_role("button", name="Log in").click()
    await page.locator("summary").wait_for()
