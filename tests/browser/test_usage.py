"""What it will cost is told before it is asked, and what it has cost afterwards."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.hands import fits, is_accessible, phone
from tests.browser.stage import Stage
from tests.systems import Client, RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=15_000)

KIMI = {
    "id": "kimi/k",
    "provider": "kimi",
    "default": True,
    "price": {"input": "0.60", "output": "2.50", "read": "2026-11-22"},
}
ESTIMATES = "POST /api/v1/estimates"


async def compose(context: BrowserContext, stage: Stage) -> Page:
    stage.models = [KIMI]
    page = await context.new_page()
    await page.clock.install()
    await page.goto(stage.url)
    await expect(page.get_by_label("Your question")).to_be_visible()
    return page


async def test_what_it_will_take_is_told_before_it_is_asked(
    context: BrowserContext, stage: Stage
) -> None:
    stage.estimate = {"tokens": 3_100, "seconds": 20, "cost": {"amount": "0.012"}}
    page = await compose(context, stage)
    await page.get_by_label("Your question").press_sequentially("Tea or coffee?")
    assert stage.asked[ESTIMATES] == 0, "nobody is asked for a key stroke"

    await page.clock.run_for(1_000)

    told = "Up to 3,100 tokens · at most $0.012 · about 20 s"
    await expect(page.locator(".forecast")).to_have_text(told)
    assert stage.asked[ESTIMATES] == 1
    await page.get_by_label("Your question").press("End")
    await page.clock.run_for(5_000)
    assert stage.asked[ESTIMATES] == 1, "nothing has changed"
    await page.get_by_label("Your question").fill("")
    await expect(page.locator(".forecast")).to_be_empty()


async def test_what_is_not_known_is_not_made_up(context: BrowserContext, stage: Stage) -> None:
    stage.estimate = {"tokens": 900}
    page = await compose(context, stage)
    await page.get_by_label("Your question").fill("Tea?")
    await page.clock.run_for(1_000)

    told = "Up to 900 tokens · a price is not known"
    await expect(page.locator(".forecast")).to_have_text(told)


async def test_what_is_too_dear_is_told_with_what_would_fit(
    context: BrowserContext, stage: Stage
) -> None:
    stage.too_dear = {
        "title": "This is more than may still be spent",
        "detail": "It may cost up to $0.42, and $0.10 of the workspace's budget is left.",
        "next_step": "Answers of at most 200 tokens would fit.",
    }
    page = await compose(context, stage)
    await page.get_by_label("Your question").fill("Tea?")
    await page.clock.run_for(1_000)

    await expect(page.locator(".forecast")).to_contain_text("$0.10 of the workspace's budget")
    await expect(page.locator(".forecast")).to_contain_text("at most 200 tokens would fit")


async def test_a_price_has_its_date(context: BrowserContext, stage: Stage) -> None:
    page = await compose(context, stage)

    await expect(page.locator("#model-hint")).to_contain_text("as of 2026-11-22")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_usage_and_budgets_on_a_phone(
    chromium: Browser, running_system: RunningSystem, scheme: Any
) -> None:
    async with aiohttp.ClientSession() as http:
        reader = running_system.reader(await Client(running_system, http).open("[[text: Tea.]]"))
        while reader.ended is None:
            await reader.follow(http)
    async with phone(chromium, scheme) as page:
        await page.goto(f"{running_system.url}/#token={running_system.token}")
        await expect(page.get_by_label("Your question")).to_be_visible()
        await page.goto(f"{running_system.url}/#/usage")
        await page.get_by_label("By").select_option("model")
        table = page.get_by_role("table")
        await expect(table.get_by_role("row", name="kimi/")).not_to_have_count(0)

        await page.get_by_label("US dollars").fill("5000")
        await page.get_by_label("For", exact=True).select_option("day")
        await page.get_by_role("button", name="Set this budget").click()
        card = page.locator("[data-budget=workspace]")
        await expect(card).to_contain_text("$5,000.00 a day")
        await expect(card).to_contain_text("left")

        await is_accessible(page, "usage")
        assert await fits(page)
        await card.get_by_role("button", name="Remove").click()
        await expect(card).to_have_count(0)
