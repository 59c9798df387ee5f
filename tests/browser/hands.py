"""What people do on the page and see of it, on a wide screen and on a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.systems import RunningSystem

RILEY, MORGAN = "Riley Engstrom", "Morgan Castellano"


def column(page: Page, name: str) -> Locator:
    """What one persona says."""
    return page.get_by_role("region", name=name)


def words(text: str) -> str:
    return " ".join(text.split())


async def sign_in(page: Page, system: RunningSystem) -> None:
    await page.goto(f"{system.url}/#token={system.token}")
    await expect(page.get_by_role("heading", name="What shall they discuss?")).to_be_visible()


async def ask(page: Page, topic: str) -> str:
    """Ask, and see it begin: the discussion's id."""
    await page.get_by_label("Your question").fill(topic)
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator(".column").first).to_be_visible()
    match = re.search(r"#/d/([0-9a-f-]{36})$", page.url)
    assert match is not None, page.url
    return match[1]


async def told(page: Page, discussion: str) -> dict[str, Any]:
    """What GET says."""
    answer = await page.request.get(f"{page.url.partition('#')[0]}api/v1/discussions/{discussion}")
    return await answer.json()


async def finished(page: Page) -> None:
    await expect(page.locator(".discussion .state")).to_have_text("answered", timeout=30_000)


async def is_accessible(page: Page, where: str) -> None:
    found = await Axe().run(page)  # pyright: ignore[reportUnknownMemberType]
    assert found.violations_count == 0, f"{where}: {found.generate_report()}"


async def fits(page: Page) -> bool:
    """Nothing has to be pushed sideways to be read."""
    return await page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


@asynccontextmanager
async def phone(chromium: Browser, scheme: str = "light") -> AsyncGenerator[Page]:
    """A narrow page, and fingers."""
    context = await chromium.new_context(
        viewport={"width": 360, "height": 740},
        is_mobile=True,
        has_touch=True,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        yield await context.new_page()
    finally:
        await context.close()
