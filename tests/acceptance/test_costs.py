"""Usage and budgets as people meet them: over HTTP, by OpenAI's client, on the command line."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import openai
import pytest
import pytest_asyncio

from shared.ids import fresh
from tests.acceptance.test_command import parley
from tests.systems import Client, RunningSystem

BUDGET = "/api/v1/budgets/workspace"
ASKED = {"topic": "[[text: Tea.]]", "participants": [{"persona": "riley-engstrom"}]}


@pytest_asyncio.fixture
async def bounded(client: Client) -> AsyncGenerator[Client]:
    """Nothing more may be spent until the test is over."""
    status, budget = await client.ask("PUT", BUDGET, {"amount": 0, "period": "total"})
    assert status == 200, budget
    yield client
    status, _ = await client.ask("DELETE", BUDGET)
    assert status == 204


async def test_a_budget_is_set_read_and_removed(client: Client) -> None:
    body = {"amount": 12.5, "period": "day", "strict": True}
    status, made = await client.ask("PUT", BUDGET, body)
    assert status == 200
    assert (made["id"], made["amount"], made["period"], made["strict"]) == (
        "workspace", "12.5", "day", True,
    )  # fmt: skip
    assert Decimal(made["left"]) == Decimal("12.5") - Decimal(made["spent"])
    assert made["until"] > datetime.now(UTC).isoformat()

    _, listed = await client.ask("GET", "/api/v1/budgets")
    assert [item["id"] for item in listed["items"]] == ["workspace"]
    assert (await client.ask("GET", BUDGET))[0] == 200
    assert (await client.ask("DELETE", BUDGET))[0] == 204
    assert (await client.ask("DELETE", BUDGET))[0] == 404
    assert (await client.ask("GET", BUDGET))[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount": -1},
        {"amount": "much"},
        {"amount": True},
        {"amount": 1, "period": "week"},
        {"amount": 1, "strict": "no"},
        {"amount": 1, "for": "tea"},
    ],
)
async def test_a_budget_that_makes_no_sense_is_refused(
    client: Client, body: dict[str, Any]
) -> None:
    status, problem = await client.ask("PUT", BUDGET, body)

    assert status == 422
    assert problem["errors"][0]["field"]


@pytest.mark.parametrize("name", ["token", "token:", "moon:1", "workspace:1", "run:x", "*"])
async def test_no_budget_is_called_like_this(client: Client, name: str) -> None:
    status, problem = await client.ask("PUT", f"/api/v1/budgets/{name}", {"amount": 1})

    assert status == 404
    assert problem["next_step"]


async def test_a_budget_is_of_somebody_who_exists(client: Client) -> None:
    for kind in ("token", "discussion"):
        status, problem = await client.ask(
            "PUT", f"/api/v1/budgets/{kind}:{fresh()}", {"amount": 1}
        )
        assert status == 404, kind
        assert f"GET /api/v1/{kind}s" in problem["next_step"]


async def test_what_does_not_fit_is_refused_with_the_figures(bounded: Client) -> None:
    for path in ("/api/v1/discussions", "/api/v1/estimates"):
        status, problem = await bounded.ask("POST", path, ASKED)
        assert status == 402
        assert problem["type"] == "urn:parley:problem:over-budget"
        assert Decimal(problem["figures"]["needs"]) > 0
        assert Decimal(problem["figures"]["left"]) <= 0
        assert "the workspace's budget" in problem["detail"]
        assert problem["next_step"]


async def test_a_discussion_brings_a_budget_of_its_own(client: Client) -> None:
    status, problem = await client.ask(
        "POST", "/api/v1/discussions", {**ASKED, "options": {"budget": 0.000001}}
    )
    assert (status, problem["figures"]["amount"]) == (402, "0.000001")
    status, opened = await client.ask(
        "POST", "/api/v1/discussions", {**ASKED, "options": {"budget": 5}}
    )
    assert status == 201

    _, budget = await client.ask("GET", f"/api/v1/budgets/discussion:{opened['id']}")
    assert budget["amount"] == "5"


async def test_openai_s_client_is_told_once(bounded: Client) -> None:
    system = bounded.system
    async with openai.AsyncOpenAI(base_url=f"{system.url}/v1", api_key=system.token) as sdk:
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.chat.completions.create(
                model="kimi/kimi-k2.6", messages=[{"role": "user", "content": "Tea?"}]
            )
    assert caught.value.status_code == 402
    assert caught.value.type == "insufficient_quota"
    assert "budget" in caught.value.message


async def test_members_see_what_was_used_and_not_by_whom(client: Client) -> None:
    _, token = await client.ask("POST", "/api/v1/tokens", {"role": "viewer"})
    viewer = {"Authorization": f"Bearer {token['token']}"}

    assert (await client.ask("GET", "/api/v1/usage", **viewer))[0] == 200
    assert (await client.ask("GET", "/api/v1/usage?by=token", **viewer))[0] == 403
    assert (await client.ask("GET", "/api/v1/budgets", **viewer))[0] == 403
    assert (await client.ask("PUT", BUDGET, {"amount": 1}, **viewer))[0] == 403


@pytest.mark.parametrize(
    "query",
    ["from=x", "from=2026-02-30", "from=2026-02-02&to=2026-02-01", "by=year", "by=day&by=day"],
)
async def test_days_that_are_none_are_refused(client: Client, query: str) -> None:
    status, problem = await client.ask("GET", f"/api/v1/usage?{query}")

    assert status in {400, 422}
    assert problem["detail"]


async def test_the_command_line_shows_both(running_system: RunningSystem) -> None:
    made = await parley(running_system, "budgets", "set", "workspace", "7.50")
    assert made.status == 0, made.remarks
    assert "7.50" in made.said
    assert "the workspace" in (await parley(running_system, "budgets")).said
    assert (await parley(running_system, "budgets", "remove", "workspace")).status == 0
    used = await parley(running_system, "usage", "--by", "model")
    assert used.status == 0, used.remarks
    assert "kimi/kimi-k2.6" in used.said
    assert "USD" in used.said
