"""Texts are of one shape in every language: same keys, same types, same number of values."""

from typing import Any

import pytest
from playwright.async_api import Page

from app.routers.browser_app import FOLDER

pytestmark = pytest.mark.slow

SHAPE = """async ([language, subject]) => {
    const shape = (value) => {
        if (typeof value === "function") return `of ${value.length} values`;
        if (Array.isArray(value)) return value.map(shape);
        if (typeof value !== "object" || value === null) return typeof value;
        const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
        return Object.fromEntries(sorted.map(([key, each]) => [key, shape(each)]));
    };
    return shape((await import(`/ui/texts/${language}/${subject}.js`)).default);
}"""


async def test_texts_have_one_shape_in_both_languages(page: Page) -> None:
    await page.goto("/login")

    async def shape(language: str, subject: str) -> Any:
        return await page.evaluate(SHAPE, [language, subject])

    for path in sorted((FOLDER / "ui/texts/en").glob("*.js")):
        english = await shape("en", path.stem)
        assert english, path.stem
        assert await shape("fr", path.stem) == english, path.stem
