"""The providers' page: what each may be asked, what is closed and why, what waits until when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.hands import fits, is_accessible, phone
from tests.browser.stage import Stage
from tests.systems import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=15_000)


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def kimi() -> dict[str, Any]:
    limits = {"rpm": 100, "tpm": 500_000, "concurrency": 1}
    return {
        "name": "kimi",
        "title": "Kimi",
        "available": True,
        "endpoint": "https://api.test/v1",
        "models": 12,
        "limits": limits,
        "declared": {**limits, "concurrency": 15},
        "fallback": {"rpm": 100, "concurrency": 15},
        "in_flight": 1,
        "waiting": 29,
        "accounts": [
            {
                "endpoint": "https://api.test/v1",
                "account": "a",
                "limits": limits,
                "learnt": {"concurrency": 1},
                "in_flight": 1,
                "requests_in_minute": 91,
                "tokens_in_minute": 470_123,
                "not_before": at(60),
                "breakers": [{"state": "open", "until": at(3600)}],
            }
        ],
    }


def openai() -> dict[str, Any]:
    failure = {
        "class": "billing",
        "title": "No balance left",
        "detail": "The provider says so.",
        "next_step": "Top up the account.",
        "retryable": True,
    }
    gate = {"gate": "billing:e:a", "closed_at": at(-600), "failure": failure}
    return {"name": "openai", "title": "OpenAI", "available": True, "parked": 2, "gates": [gate]}


ABSENT = {"name": "vllm", "title": "vLLM", "available": False, "reason": "Set VLLM_BASE_URL."}


async def open_page(page: Page, stage: Stage) -> None:
    stage.providers = [kimi(), openai(), ABSENT]
    await page.goto(f"{stage.url}/#/providers")
    await expect(page.get_by_role("article", name="Kimi")).to_be_visible()


async def test_it_says_what_waits_what_is_closed_and_until_when(page: Page, stage: Stage) -> None:
    await open_page(page, stage)
    first = page.get_by_role("article", name="Kimi")
    second = page.get_by_role("article", name="OpenAI")

    await expect(first).to_contain_text("1 being answered · 29 waiting")
    await expect(first).to_contain_text("470,123 of 500,000")
    await expect(first).to_contain_text("91 of 100")
    await expect(first).to_contain_text("Answers at once learnt from its answers")
    await expect(first).to_contain_text(re.compile(r"next request to this account goes out in \d+"))
    await expect(first).to_contain_text("Left in peace after failures")
    await expect(second).to_contain_text("No balance left")
    await expect(second).to_contain_text("Closed 10 min. ago")
    await expect(second).to_contain_text("opens by itself once the account has balance again")
    await expect(second.get_by_role("link", name="Open Keys")).to_be_visible()
    await expect(page.get_by_text("vLLM Set VLLM_BASE_URL.")).to_be_visible()


async def test_time_passes_on_it_and_it_looks_again_by_itself(
    context: BrowserContext, stage: Stage
) -> None:
    page = await context.new_page()
    await page.clock.install()
    await open_page(page, stage)
    countdown = page.locator(".countdown").first
    told = await countdown.inner_text()

    await page.clock.run_for(3_000)
    await expect(countdown).not_to_have_text(told)

    stage.providers[0] |= {"waiting": 0, "in_flight": 0, "accounts": []}
    await page.clock.run_for(7_000)
    await expect(page.get_by_role("article", name="Kimi")).to_contain_text("Nothing waits.")


async def test_what_is_typed_survives_the_next_look(context: BrowserContext, stage: Stage) -> None:
    page = await context.new_page()
    await page.clock.install()
    await open_page(page, stage)
    card = page.get_by_role("article", name="Kimi")
    await card.get_by_text("Change the limits").click()
    await card.get_by_label("Requests a minute").fill("3")
    stage.providers[0]["waiting"] = 30
    await page.clock.run_for(7_000)
    await expect(card).to_contain_text("30 waiting")

    await expect(card.get_by_label("Requests a minute")).to_have_value("3")
    await card.get_by_role("button", name="Save").click()

    await expect(card.get_by_label("Requests a minute")).to_be_hidden()
    sent = {"rpm": 3, "tpm": None, "tpd": None, "concurrency": None}
    assert stage.put == [("/api/v1/providers/kimi/limits", sent)]


async def test_limits_are_changed_and_taken_back(page: Page, running_system: RunningSystem) -> None:
    await page.goto(f"{running_system.url}/#token={running_system.token}")
    await page.get_by_role("link", name="Limits and queues").click()
    card = page.locator("[data-provider=kimi]")
    await card.get_by_text("Change the limits").click()
    await card.get_by_label("Requests a minute").fill("59000")
    await card.get_by_role("button", name="Save").click()
    await expect(card.get_by_role("row", name="Requests a minute").first).to_contain_text("59,000")
    await expect(card).to_contain_text("set here")

    await card.get_by_text("Change the limits").click()
    await expect(card.get_by_label("Requests a minute")).to_have_value("59000")
    await card.get_by_label("Requests a minute").fill("2000000")
    await card.get_by_role("button", name="Save").click()
    await expect(card.get_by_role("alert")).to_contain_text("rpm")
    await card.get_by_role("button", name="Back to what is declared").click()

    await expect(card.get_by_role("row", name="Requests a minute").first).to_contain_text("60,000")
    await expect(card).not_to_contain_text("set here")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_accessible_and_fits_a_phone(
    chromium: Browser, stage: Stage, scheme: Any
) -> None:
    async with phone(chromium, scheme) as page:
        await open_page(page, stage)
        await page.get_by_text("Change the limits").first.click()

        await is_accessible(page, "providers")
        assert await fits(page)
