"""What is measured on a page: rules of accessibility, keyboard, widths, weight and speed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

# WCAG 2.2 AA, and what axe's makers hold to be good practice: landmarks, order of headings.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
TAB_LIMIT = 400
PATIENCE = 20  # seconds
_axe = Axe()


async def until(page: Page, expression: str) -> None:
    """Playwright's own wait_for_function evaluates within the page, whose policy forbids it."""
    async with asyncio.timeout(PATIENCE):
        while not await page.evaluate(expression):  # noqa: ASYNC110  # a page sets no event
            await asyncio.sleep(0.05)


async def accessible(page: Page) -> None:
    """The rules find nothing to blame, in light and in dark."""
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme)
        options = {"resultTypes": ["violations"], "runOnly": [*RULES]}
        found = (await _axe.run(page, options=options)).response["violations"]
        said = [
            f"{scheme}: {each['id']}: {node['target']} {node['failureSummary']}"
            for each in found
            for node in each["nodes"]
        ]
        assert said == []


async def fits(page: Page, *widths: int) -> None:
    """Nothing scrolls sideways but what says so itself."""
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 800})
        needed = await page.evaluate("document.documentElement.scrollWidth")
        assert needed <= width, f"{needed} px are needed at {width}"


# Of radio buttons, one of each group takes the focus.
_MARK_CONTROLS = """() => {
    const all = "a[href], button, input, select, textarea, summary, iframe, [tabindex='0']";
    const takesFocus = ({ type, name }) => type !== "radio" ? null
        : document.querySelector(`[name="${name}"]:checked`)
            ?? document.querySelector(`[name="${name}"]`);
    const controls = [...document.querySelectorAll(all)].filter((each) =>
        each.tabIndex >= 0 && !each.disabled && each.type !== "hidden" && !each.closest("[inert]")
        && each.checkVisibility({ visibilityProperty: true }) && each.getClientRects().length
        && (takesFocus(each) ?? each) === each);
    controls.forEach((each, index) => { each.dataset.control = index; });
    return controls.map((each) => each.outerHTML.slice(0, 120));
}"""
_FOCUSED = """() => {
    const focused = document.activeElement;
    const drawn = (each, part) => each && getComputedStyle(each, part).outlineStyle !== "none"
        && parseFloat(getComputedStyle(each, part).outlineWidth) >= 2;
    const { top, bottom } = focused.getBoundingClientRect();
    const around = [focused.closest("label"), focused.closest("li, article")];
    const isOutlined = drawn(focused) || drawn(focused, "::after")
        || around.some((each) => drawn(each));
    return {
        control: focused.dataset.control === undefined ? null : Number(focused.dataset.control),
        isVisible: ["IFRAME", "VIDEO"].includes(focused.tagName)
            || isOutlined && bottom > 0 && top < innerHeight,
        html: focused.outerHTML.slice(0, 120),
    };
}"""


async def reachable_by_keyboard(page: Page) -> None:
    """Tab comes to every control, and one sees where it is."""
    controls: list[str] = await page.evaluate(_MARK_CONTROLS)
    reached: set[int] = set()
    hidden: list[str] = []
    for _ in range(min(TAB_LIMIT, 2 * len(controls) + 20)):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(_FOCUSED)
        if focused["control"] is not None:
            reached.add(focused["control"])
            if not focused["isVisible"]:
                hidden.append(focused["html"])
        if len(reached) == len(controls):
            break
    assert [each for index, each in enumerate(controls) if index not in reached] == []
    assert hidden == []


@dataclass
class Weight:
    """Bytes as they came over the line, compressed, by kind.

    Without headers: HTTP/2, which the app's hosts speak, makes next to nothing of them.
    """

    by_kind: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())


@asynccontextmanager
async def weighing(page: Page) -> AsyncIterator[Weight]:
    """What is loaded meanwhile, with nothing kept from before."""
    weight = Weight({})
    answers: dict[str, tuple[str, int]] = {}
    line = await page.context.new_cdp_session(page)
    await line.send("Network.enable")
    await line.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def note(event: dict[str, Any]) -> None:
        answers[event["requestId"]] = (event["type"], event["response"]["encodedDataLength"])

    def add(event: dict[str, Any]) -> None:
        kind, headers = answers.get(event["requestId"], ("Other", 0))
        body = int(event["encodedDataLength"]) - headers
        weight.by_kind[kind] = weight.by_kind.get(kind, 0) + body

    line.on("Network.responseReceived", note)
    line.on("Network.loadingFinished", add)
    yield weight
    await line.detach()


async def weight(page: Page, address: str) -> Weight:
    """Of the first view of an address."""
    async with weighing(page) as measured:
        await page.goto(address)
        await page.wait_for_load_state("networkidle")
    return measured


@dataclass
class Speed:
    largest_paint_ms: float
    layout_shift: float


_SPEED = """() => new Promise((resolve) => {
    const seen = { largest_paint_ms: 0, layout_shift: 0 };
    const watch = (type, note) => new PerformanceObserver((list) =>
        list.getEntries().forEach(note)).observe({ type, buffered: true });
    watch("largest-contentful-paint", (each) => { seen.largest_paint_ms = each.startTime; });
    watch("layout-shift", (each) => { seen.layout_shift += each.hadRecentInput ? 0 : each.value; });
    requestAnimationFrame(() => setTimeout(() => resolve(seen), 100));
})"""


async def speed(page: Page, address: str) -> Speed:
    """Of the first view of an address: when its largest part is painted, and whether any moves."""
    await page.goto(address)
    await page.wait_for_load_state("networkidle")
    return Speed(**await page.evaluate(_SPEED))
