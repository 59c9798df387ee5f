"""Personas on the page: made with the keyboard, revised, archived; a retired model is replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from shared.ids import fresh
from tests.browser.conftest import Watched
from tests.browser.hands import fits, is_accessible, phone, sign_in
from tests.systems import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

RETIRED = "kimi/kimi-k2-0711-preview"


async def personas(page: Page, system: RunningSystem) -> None:
    await sign_in(page, system)
    await page.goto(f"{system.url}/#/personas")
    await expect(page.get_by_role("heading", level=1, name="Personas")).to_be_focused()
    await expect(page.locator("article").filter(has_text="Riley Engstrom")).to_be_visible()


async def imported(page: Page, folder: Path, name: str) -> None:
    """A persona whose default model has retired, from a file."""
    slug = name.lower().replace(" ", "-")
    persona = {"slug": slug, "name": name, "title": "Novelist", "prompt": "Tell.", "model": RETIRED}
    document = folder / f"{slug}.json"
    document.write_text(json.dumps({"format": "parley.personas.v1", "personas": [persona]}))
    await page.get_by_label("Import a document of personas").set_input_files(document)
    await expect(page.get_by_text(f"{slug}: created, version 1")).to_be_visible()


async def pictured(page: Page, name: str) -> None:
    """For a person to look at, where one has asked for it."""
    if folder := os.environ.get("PARLEY_TEST_PICTURES"):
        await page.screenshot(path=f"{folder}/{name}.png", full_page=True)


async def test_a_persona_is_made_with_the_keyboard_revised_archived_and_brought_back(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    name = f"Ada {fresh()[-12:]}"
    await personas(page, running_system)
    form = page.get_by_role("region", name="A persona of your own")

    await form.get_by_label("Name").focus()
    await page.keyboard.type(name)
    await page.keyboard.press("Tab")
    await page.keyboard.type("Mathematician")
    await page.keyboard.press("Tab")
    await page.keyboard.type("You are Ada. Count.")
    await page.keyboard.press("Tab")
    await page.keyboard.type("kimi/kimi-k2.6")
    await form.get_by_role("button", name="Create the persona").focus()
    await page.keyboard.press("Enter")

    made = page.locator("article").filter(has_text=name)
    await expect(made).to_contain_text("version 1")
    await expect(made).to_contain_text("kimi/kimi-k2.6")
    await expect(made.get_by_role("button", name="Revise")).to_be_focused()

    await page.keyboard.press("Enter")
    await expect(made.get_by_label("Name")).to_be_focused()
    await made.get_by_label("What they do").fill("Poet")
    await is_accessible(page, "a persona being revised")
    await pictured(page, "personas-form")
    await made.get_by_role("button", name="Keep as the next version").click()
    await expect(made).to_contain_text("version 2")
    await expect(made).to_contain_text("Poet")

    # It can be asked at once.
    await page.get_by_role("link", name="New question").first.click()
    await expect(page.get_by_role("checkbox", name=name)).to_be_attached()
    await page.goto(f"{running_system.url}/#/personas")

    await made.get_by_role("button", name="Archive").click()
    await expect(made.get_by_role("button", name="Keep it")).to_be_focused()
    await made.get_by_role("button", name="Archive", exact=True).click()
    await expect(page.locator("article[data-archived]").filter(has_text=name)).to_be_attached()
    await page.get_by_text("in the archive").click()
    await page.get_by_role("button", name=f"Bring back: {name}").click()
    await expect(made).to_contain_text("version 3")
    watched.behaved()


async def test_a_retired_default_model_is_replaced_with_one_click(
    watched: Watched, running_system: RunningSystem, tmp_path: Path
) -> None:
    page = watched.page
    name = f"Mary {fresh()[-12:]}"
    await personas(page, running_system)
    await imported(page, tmp_path, name)
    made = page.locator("article").filter(has_text=name)

    await expect(made).to_contain_text("Its default model has retired")
    await is_accessible(page, "a retired default model")
    await pictured(page, "personas")
    await made.get_by_role("button", name="Use kimi/kimi-k2.6").click()

    await expect(made).to_contain_text("version 2")
    await expect(made).not_to_contain_text("has retired")
    await expect(made.locator("code").filter(has_text="kimi/kimi-k2.6")).to_be_visible()
    watched.behaved()


async def test_what_is_refused_says_why_and_keeps_what_was_written(
    page: Page, running_system: RunningSystem
) -> None:
    await personas(page, running_system)
    form = page.get_by_role("region", name="A persona of your own")
    await form.get_by_label("Name").fill("Riley Engstrom")
    await form.get_by_label("What they do").fill("Somebody else")
    await form.get_by_label("Instructions").fill("Be another.")
    await form.get_by_role("button", name="Create the persona").click()

    await expect(form.get_by_role("alert")).to_contain_text("This slug is taken")
    await expect(form.get_by_label("Instructions")).to_have_value("Be another.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(
    chromium: Browser, running_system: RunningSystem, tmp_path: Path, scheme: str
) -> None:
    async with phone(chromium, scheme) as page:
        await sign_in(page, running_system)
        await page.get_by_role("button", name="Discussions").tap()
        await page.get_by_role("link", name="Personas").tap()
        await imported(page, tmp_path, f"Wolstonecraft {fresh()[-12:]}{'x' * 30}")
        riley = page.locator("article").filter(has_text="Riley Engstrom")
        await riley.get_by_text("Instructions").tap()
        await riley.get_by_role("button", name="Revise").tap()

        assert await fits(page)
        await is_accessible(page, f"personas, {scheme}")
        await pictured(page, f"personas-phone-{scheme}")
