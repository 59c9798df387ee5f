"""The page of workflows: start one with its inputs, see its steps, choose where it waits."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.browser.hands import fits, is_accessible, phone
from tests.systems import Client, RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=20_000)

COMPARED = """\
slug: page-test
title: Tea for a guest
description: Two drafts of an invitation, of which one goes on.
inputs:
  - name: guest
    description: Who comes.
  - {name: hour, default: four}
steps:
  - name: invitation
    title: The invitation
    personas: [riley-engstrom]
    prompt: "[[text: **Dear** {{ inputs.guest }}, come to tea.]]"
    compare_providers:
      models: [kimi/k2, kimi/k2]
      gate: person
      criteria: Which of them is warmer?
  - name: polish
    title: The last word
    personas: [morgan-castellano]
    after: [invitation]
    prompt: "[[text: Sent.]]"
"""


async def defined(system: RunningSystem, source: str) -> None:
    async with aiohttp.ClientSession() as http:
        client = Client(system, http)
        slug = source.split("\n", 1)[0].removeprefix("slug: ")
        status, _ = await client.ask("PUT", f"/api/v1/workflows/{slug}", {"source": source})
        if status == 404:
            status, _ = await client.ask("POST", "/api/v1/workflows", {"source": source})
        assert status in {200, 201}


async def enter(page: Page, system: RunningSystem) -> None:
    await page.goto(f"{system.url}/#token={system.token}")
    await page.get_by_role("link", name="Workflows").click()
    await expect(page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()


async def test_a_run_from_its_inputs_to_a_choice_to_its_end(
    watched: Watched, running_system: RunningSystem, tmp_path: Path
) -> None:
    page = watched.page
    await defined(running_system, COMPARED)
    await enter(page, running_system)
    card = page.get_by_role("article", name="Tea for a guest")
    await card.get_by_text("Start it").click()
    await card.get_by_label("guest").fill("Ada")
    await is_accessible(page, "workflows")
    await page.screenshot(path=tmp_path / "workflows.png", full_page=True)
    await card.get_by_role("button", name="Start the run").click()

    await expect(page).to_have_url(re.compile("#/r/"))
    first = page.get_by_role("listitem", name="The invitation")
    await expect(first).to_contain_text("waits for your choice")
    await expect(first).to_contain_text("Which of them is warmer?")
    await is_accessible(page, "workflows")
    await page.screenshot(path=tmp_path / "choice.png", full_page=True)
    choice = first.get_by_role("button", name=re.compile(r"^Choose .*\(2\)"))
    await choice.focus()
    await page.keyboard.press("Enter")

    last = page.get_by_role("listitem", name="The last word")
    await expect(last).to_contain_text("Sent.")
    await expect(first).to_contain_text("A person has chosen.")
    await expect(page.get_by_role("main")).to_contain_text("done")
    await is_accessible(page, "workflows")
    await page.screenshot(path=tmp_path / "done.png", full_page=True)

    await page.get_by_role("button", name="Delete").click()
    await is_accessible(page, "a run that is to be deleted")
    await page.screenshot(path=tmp_path / "deleting.png", full_page=True)
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page).to_have_url(re.compile("#/workflows"))
    watched.behaved()


async def test_a_definition_is_corrected_where_it_is_wrong(
    page: Page, running_system: RunningSystem
) -> None:
    await enter(page, running_system)
    await page.get_by_text("Add a workflow").click()
    text = page.get_by_label("Definition (YAML or JSON)")
    source = await text.input_value()
    await text.fill(source.replace("inputs.subject", "inputs.subjekt"))
    await page.get_by_role("button", name="Add it").click()
    fault = page.get_by_role("button", name=re.compile("no input 'subjekt'"))
    await fault.click()
    selected = await text.evaluate("el => el.value.slice(el.selectionStart, el.selectionEnd)")
    assert selected.startswith("subjekt")
    await is_accessible(page, "workflows")


async def test_it_fits_a_phone(
    chromium: Browser, running_system: RunningSystem, tmp_path: Path
) -> None:
    await defined(running_system, COMPARED.replace("page-test", "phone-test"))
    async with phone(chromium) as page:
        await page.goto(f"{running_system.url}/#token={running_system.token}")
        await expect(page.get_by_role("button", name="Discussions")).to_be_visible()
        await page.goto(f"{running_system.url}/#/workflows")
        card = page.get_by_role("article", name="Tea for a guest").first
        await card.get_by_text("Start it").tap()
        await card.get_by_label("guest").fill("Ada")
        await card.get_by_role("button", name="Start the run").tap()
        first = page.get_by_role("listitem", name="The invitation")
        await expect(first).to_contain_text("waits for your choice")
        await page.screenshot(path=tmp_path / "phone.png", full_page=True)
        assert await fits(page)


async def test_a_reload_finds_the_run_as_it_stands(
    page: Page, running_system: RunningSystem
) -> None:
    await defined(running_system, COMPARED)
    async with aiohttp.ClientSession() as http:
        client = Client(running_system, http)
        status, run = await client.ask(
            "POST", "/api/v1/workflows/page-test/runs", {"inputs": {"guest": "Bob"}}
        )
        assert status == 201
        await page.goto(f"{running_system.url}/#token={running_system.token}")
        await page.goto(f"{running_system.url}/#/r/{run['id']}")
        first = page.get_by_role("listitem", name="The invitation")
        await expect(first).to_contain_text("waits for your choice")
        await page.reload()
        await expect(first).to_contain_text("waits for your choice")
        await client.ask(
            "POST", f"/api/v1/runs/{run['id']}/gates/invitation", {"choose": "kimi/k2"}
        )
        await expect(page.get_by_role("listitem", name="The last word")).to_contain_text("Sent.")
