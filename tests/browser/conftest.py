"""A real browser for the tests: the system's Chromium, driven by Playwright, on a short leash."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    async_playwright,
)

from services.edge.static import FILES, POLICY
from tests.browser.line import Line
from tests.browser.stage import Stage
from tests.systems import RunningSystem

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--no-sandbox",  # which refuses root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    # It must speak to nobody but the page under test.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOWHERE = "http://page.test"
"""Where the page's modules seem to come from when they are tested without a server."""


def _program() -> str:
    for name in (os.environ.get("PARLEY_TEST_CHROMIUM", ""), *NAMES):
        if name and (found := shutil.which(name)):
            return found
    return ""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Browser]:
    program = _program()
    if not program:
        pytest.skip("there is no Chromium: apt install chromium, or set PARLEY_TEST_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        await browser.close()


class Watched:
    """A page, and what it should not have done."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.strangers: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.strangers.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def behaved(self) -> None:
        assert self.strangers == [], "the page asked other hosts"
        assert self.complaints == [], "the page complained in its console"


@pytest_asyncio.fixture(loop_scope="session")
async def context(chromium: Browser) -> AsyncGenerator[BrowserContext]:
    """A browser without any past."""
    made = await chromium.new_context(viewport={"width": 1280, "height": 860})
    made.set_default_timeout(15_000)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def watched(page: Page, running_system: RunningSystem) -> Watched:
    return Watched(page, running_system.url)


@pytest_asyncio.fixture(loop_scope="session")
async def line(running_system: RunningSystem) -> AsyncGenerator[Line]:
    """A way to the system that can be cut."""
    async with Line(running_system.url) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def stage() -> AsyncGenerator[Stage]:
    """What stands behind the page, where the test says what happens there."""
    async with Stage() as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def modules(chromium: Browser) -> AsyncGenerator[Page]:
    """A page with the files of the web page within reach, and no server behind it."""
    page = await chromium.new_page()
    await page.route("**/*", _from_files)
    await page.goto(f"{NOWHERE}/empty")
    yield page
    await page.close()


async def _from_files(route: Route) -> None:
    path = route.request.url.removeprefix(NOWHERE).removeprefix("/pages/")
    if path == "/empty":
        await route.fulfill(body="<!doctype html><title>empty</title>", content_type="text/html")
    elif path in FILES:
        file = FILES[path]
        headers = {"Content-Security-Policy": POLICY}
        await route.fulfill(body=file.content, content_type=file.type, headers=headers)
    else:
        await route.abort()
