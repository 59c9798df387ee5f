"""Budgets: what may be spent is held before it is spent, and nothing goes beyond it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from contracts.attempts import LiveModel, Parameters, ProbeResult, RunAttempt
from contracts.budgets import (
    BudgetList,
    BudgetScope,
    BudgetView,
    ListBudgets,
    Period,
    RemoveBudget,
    SetBudget,
)
from contracts.discussion import (
    DiscussionState,
    Estimate,
    OpenDiscussion,
    Opened,
    WantedParticipant,
)
from contracts.failures import NotFound, OverBudget
from contracts.keys import Done
from contracts.modes import Mode, Options
from contracts.stream import Usage, UsageStatus
from contracts.usage import AskUsage, Grouping, UsageReport
from services.discussion import budgets
from shared.database import Connection
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import KIMI, House, running
from tests.neighbours import MODELS, Adapter, answer, completed, error, neighbours

LIKE_THIS = Parameters(max_completion_tokens=1_000)


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    """At a million dollars for a million tokens each way, a token costs a dollar."""
    adapter, vault = await neighbours(broker)
    million = Decimal(1_000_000)
    dear = [LiveModel(id=model, input_price=million, output_price=million) for model in MODELS]
    adapter.probe = ProbeResult(models=[*dear, LiveModel(id="kimi-free-form")])
    async with running(database, broker):
        made = House(await broker.bus("edge"), adapter, vault, database, broker)
        await made.kimi_works()
        proven = await made.open("riley-engstrom")  # an unproven key answers one at a time
        await made.reaches(proven, DiscussionState.COMPLETED)
        adapter.attempts.clear()
        yield made


NOW = datetime(2026, 11, 21, tzinfo=UTC)

SPENT_BEFORE = 30
"""Dollars, by the answer that proved the key."""


async def allow(
    house: House,
    amount: int,
    *,
    scope: BudgetScope = BudgetScope.WORKSPACE,
    subject: str = "",
    period: Period = Period.TOTAL,
    strict: bool = False,
) -> BudgetView:
    command = SetBudget(
        workspace="default",
        scope=scope,
        subject=subject,
        amount=Decimal(amount),
        period=period,
        strict=strict,
    )
    return await house.ask("set_budget", command, BudgetView)


async def stands(
    house: House, scope: BudgetScope = BudgetScope.WORKSPACE, subject: str = ""
) -> BudgetView:
    command = ListBudgets(workspace="default", scope=scope, subject=subject)
    (view,) = (await house.ask("budgets", command, BudgetList)).items
    return view


def holding(may_end: asyncio.Event) -> Callable[[Adapter, RunAttempt], Awaitable[None]]:
    """Answers once they may end."""
    tasks: list[asyncio.Task[None]] = []

    async def later(adapter: Adapter, command: RunAttempt) -> None:
        async def then() -> None:
            await may_end.wait()
            await answer(adapter, command)

        tasks.append(asyncio.create_task(then()))

    return later


async def test_what_is_spent_already_counts_when_a_budget_is_set(house: House) -> None:
    view = await allow(house, 5_000)

    assert (view.spent, view.held, view.left) == (SPENT_BEFORE, 0, 5_000 - SPENT_BEFORE)


async def test_what_does_not_fit_is_refused_with_the_figures(house: House) -> None:
    await allow(house, 2_000, period=Period.DAY)

    with pytest.raises(OverBudget) as caught:
        await house.open("riley-engstrom", "morgan-castellano", parameters=LIKE_THIS)

    problem = caught.value.problem
    assert problem.status == 402
    assert problem.figures["left"] == str(2_000 - SPENT_BEFORE)
    assert problem.figures["budget"] == "workspace"
    assert Decimal(problem.figures["needs"]) > 2_000
    assert "$1970.00 of the workspace's budget of $2000.00 a day is left" in problem.detail
    assert "Answers of at most" in problem.next_step
    assert not house.adapter.attempts


async def test_what_is_said_to_fit_does(house: House) -> None:
    await allow(house, 2_000)
    with pytest.raises(OverBudget) as caught:
        await house.open("riley-engstrom", "morgan-castellano", parameters=LIKE_THIS)
    words = caught.value.problem.next_step.split()
    tokens = int(words[words.index("tokens") - 1].replace(",", ""))

    shorter = Parameters(max_completion_tokens=tokens)
    discussion = await house.open("riley-engstrom", "morgan-castellano", parameters=shorter)

    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_an_estimate_refuses_what_would_be_refused(house: House) -> None:
    await allow(house, 100)
    wish = OpenDiscussion(
        workspace="default",
        mode=Mode.SINGLE,
        participants=[WantedParticipant(persona="riley-engstrom", model=KIMI)],
        topic="Tea?",
        parameters=LIKE_THIS,
    )
    with pytest.raises(OverBudget):
        await house.ask("estimate", wish, Estimate)


async def test_what_runs_is_held_and_what_it_cost_is_spent(house: House) -> None:
    await allow(house, 5_000)
    may_end = asyncio.Event()
    house.adapter.script = holding(may_end)
    discussion = await house.open("riley-engstrom", parameters=LIKE_THIS)

    async def held() -> bool:
        return (await stands(house)).held > 1_000

    await eventually(held)
    may_end.set()
    await house.reaches(discussion, DiscussionState.COMPLETED)

    view = await stands(house)
    assert (view.held, view.spent) == (0, 2 * SPENT_BEFORE)


class Meanwhile:
    """A connection; after each of its statements something happens on another one."""

    def __init__(self, conn: Connection, happen: Callable[[], Awaitable[None]]) -> None:
        self._conn = conn
        self._happen = happen

    async def fetch(self, *said: Any) -> Any:
        return await self._then(await self._conn.fetch(*said))

    async def fetchrow(self, *said: Any) -> Any:
        return await self._then(await self._conn.fetchrow(*said))

    async def fetchval(self, *said: Any) -> Any:
        return await self._then(await self._conn.fetchval(*said))

    async def _then(self, found: Any) -> Any:
        await self._happen()
        return found


async def test_what_ends_while_a_budget_is_looked_at_is_held_or_spent_and_never_neither(
    house: House,
) -> None:
    may_end = asyncio.Event()
    house.adapter.script = holding(may_end)
    await allow(house, 5_000)
    discussion = await house.open("riley-engstrom", parameters=LIKE_THIS)
    await house.reaches(discussion, DiscussionState.RUNNING)
    pool = await house.database.pool("discussion")

    looked = 0

    async def it_ends() -> None:
        nonlocal looked
        looked += 1
        if looked == 2:  # the first statement finds the budget
            may_end.set()
            await house.reaches(discussion, DiscussionState.COMPLETED)

    async with pool.acquire() as conn:
        wanted = ListBudgets(workspace="default", scope=BudgetScope.WORKSPACE)
        view = (await budgets.listing(Meanwhile(conn, it_ends), wanted, NOW)).items[0]  # type: ignore[arg-type]

    assert looked >= 2
    assert (view.spent, view.held > 0) in {(SPENT_BEFORE, True), (2 * SPENT_BEFORE, False)}


async def test_two_at_once_take_turns_where_only_one_fits(house: House) -> None:
    """Both were opened while both seemed to fit; the second waits for what the first gives back."""
    await allow(house, 1_600)
    may_end = asyncio.Event()
    house.adapter.script = holding(may_end)
    opened = await asyncio.gather(
        *(house.open("riley-engstrom", parameters=LIKE_THIS) for _ in range(2))
    )

    async def one_waits() -> bool:
        views = [await house.view(each) for each in opened]
        states = sorted(view.state.value for view in views)
        reasons = {turn.reason for view in views for turn in view.turns}
        return states == ["running", "waiting"] and "budget" in reasons

    await eventually(one_waits)
    assert len(house.adapter.attempts) == 1
    may_end.set()
    for each in opened:
        await house.reaches(each, DiscussionState.COMPLETED)
    assert (await stands(house)).spent == 3 * SPENT_BEFORE


async def test_a_retry_that_no_longer_fits_parks_until_the_budget_is_raised(house: House) -> None:
    await allow(house, 1_600)

    async def spends_and_breaks(adapter: Adapter, command: RunAttempt) -> None:
        usage = {"input_tokens": 100, "output_tokens": 900, "status": "measured"}
        await adapter.end(error(command, "midstream", text="Half of it", usage=usage))

    house.adapter.script = spends_and_breaks
    discussion = await house.open("riley-engstrom", parameters=LIKE_THIS)
    view = await house.reaches(discussion, DiscussionState.PARKED)
    (turn,) = view.turns
    assert turn.failure is not None
    assert turn.failure.title == "The budget is used up"
    assert "/api/v1/budgets/workspace" in turn.failure.next_step
    assert len(house.adapter.attempts) == 1

    house.adapter.script = None
    await allow(house, 9_000)

    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_a_budget_of_a_day_is_there_again_the_next_day(house: House) -> None:
    await allow(house, 1_600, period=Period.DAY)

    async def spends_and_breaks(adapter: Adapter, command: RunAttempt) -> None:
        usage = {"input_tokens": 100, "output_tokens": 900, "status": "measured"}
        await adapter.end(error(command, "midstream", text="Half of it", usage=usage))

    house.adapter.script = spends_and_breaks
    discussion = await house.open("riley-engstrom", parameters=LIKE_THIS)
    view = await house.reaches(discussion, DiscussionState.PARKED)
    assert view.turns[0].failure is not None
    midnight = view.turns[0].failure.not_before
    assert midnight is not None

    house.adapter.script = None
    await house.later(midnight - datetime.now(UTC) + timedelta(seconds=1))

    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_a_discussion_ends_with_its_own_budget_and_keeps_what_it_has(house: House) -> None:
    async def one_breaks(adapter: Adapter, command: RunAttempt) -> None:
        if "Riley" in str(command.messages[0].content):
            await answer(adapter, command)
        else:
            usage = {"input_tokens": 100, "output_tokens": 1_900, "status": "measured"}
            await adapter.end(error(command, "midstream", text="Half of it", usage=usage))

    house.adapter.script = one_breaks
    discussion = await house.open(
        "riley-engstrom", "morgan-castellano", parameters=LIKE_THIS, budget=Decimal(2_400)
    )
    view = await house.reaches(discussion, DiscussionState.COMPLETED)

    riley, morgan = sorted(view.turns, key=lambda turn: turn.persona, reverse=True)
    assert riley.state == "completed"
    assert morgan.state == "failed"
    assert morgan.failure is not None
    assert "the discussion's budget of $2400.00" in morgan.failure.detail
    budget = await stands(house, BudgetScope.DISCUSSION, discussion)
    assert budget.spent <= budget.amount


async def test_a_token_s_budget_bounds_only_what_is_asked_with_it(house: House) -> None:
    await allow(house, 100, scope=BudgetScope.TOKEN, subject="t-1")

    with pytest.raises(OverBudget, match="access token"):
        await house.open("riley-engstrom", parameters=LIKE_THIS, by="t-1")
    other = await house.open("riley-engstrom", parameters=LIKE_THIS, by="t-2")

    await house.reaches(other, DiscussionState.COMPLETED)


async def test_all_discussions_of_a_run_share_its_budget(house: House) -> None:
    await allow(house, 1_600, scope=BudgetScope.RUN, subject="r-1")
    first = await house.open("riley-engstrom", parameters=LIKE_THIS, run="r-1")
    await house.reaches(first, DiscussionState.COMPLETED)
    assert (await stands(house, BudgetScope.RUN, "r-1")).spent == SPENT_BEFORE

    with pytest.raises(OverBudget, match="run's budget"):
        await house.open("riley-engstrom", "morgan-castellano", parameters=LIKE_THIS, run="r-1")


async def test_what_has_no_price_goes_on_unless_the_budget_is_strict(house: House) -> None:
    free_form = {"model": "kimi/kimi-free-form"}
    await allow(house, 0)
    discussion = await house.open("riley-engstrom", **free_form)
    await house.reaches(discussion, DiscussionState.COMPLETED)
    assert (await stands(house)).unpriced == 1

    await allow(house, 1_000, strict=True)
    with pytest.raises(OverBudget) as caught:
        await house.open("riley-engstrom", **free_form)
    assert caught.value.problem.type == "no-price"


async def test_a_budget_that_is_removed_bounds_nothing(house: House) -> None:
    await allow(house, 1)
    remove = RemoveBudget(workspace="default", scope=BudgetScope.WORKSPACE)
    await house.ask("remove_budget", remove, Done)
    with pytest.raises(NotFound):
        await house.ask("remove_budget", remove, Done)

    discussion = await house.open("riley-engstrom", parameters=LIKE_THIS)
    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_sums_keep_measured_estimated_and_unknown_apart(house: House) -> None:
    async def by_persona(adapter: Adapter, command: RunAttempt) -> None:
        if "Riley" in str(command.messages[0].content):
            await adapter.end(completed(command, "Measured."))
        else:
            await adapter.end(error(command, "request", evidence={"status": 400}))

    house.adapter.script = by_persona
    discussion = await house.open("riley-engstrom", "morgan-castellano", by="t-1")
    await house.reaches(discussion, DiscussionState.COMPLETED)
    today = datetime.now(UTC).date().isoformat()

    async def used(by: Grouping) -> dict[str, Any]:
        command = AskUsage(workspace="default", since=today, until=today, by=by)
        report = await house.ask("usage", command, UsageReport)
        return {line.key: line for line in report.items}

    personas = await used(Grouping.PERSONA)
    assert personas["riley-engstrom"].measured.requests == 2
    assert personas["riley-engstrom"].measured.output_tokens == 40
    assert personas["riley-engstrom"].measured.costs[0].amount == 2 * SPENT_BEFORE
    assert personas["morgan-castellano"].estimated.requests == 1
    assert personas["morgan-castellano"].measured.requests == 0
    assert set(await used(Grouping.MODEL)) == {KIMI}
    assert set(await used(Grouping.TOKEN)) == {"", "t-1"}
    assert set(await used(Grouping.DAY)) == {today}


async def debate(house: House, **more: Any) -> str:
    wish = OpenDiscussion(
        workspace="default",
        mode=Mode.DEBATE,
        participants=[
            WantedParticipant(persona=slug, model=KIMI)
            for slug in ("riley-engstrom", "morgan-castellano")
        ],
        topic="Tea?",
        parameters=LIKE_THIS,
        options=Options(rounds=2),
        **more,
    )
    return (await house.ask("open", wish, Opened)).discussion


async def test_the_house_must_have_room_for_all_that_a_mode_plans(house: House) -> None:
    await allow(house, 4_000)

    with pytest.raises(OverBudget) as caught:
        await debate(house)

    assert Decimal(caught.value.problem.figures["needs"]) > 4_000


async def test_a_debate_ends_at_its_own_budget_with_what_was_said(house: House) -> None:
    async def at_length(adapter: Adapter, command: RunAttempt) -> None:
        usage = Usage(input_tokens=100, output_tokens=900, status=UsageStatus.MEASURED)
        await adapter.end(msgspec.structs.replace(completed(command, "Well."), usage=usage))

    house.adapter.script = at_length
    discussion = await debate(house, budget=Decimal(2_600))

    view = await house.reaches(discussion, DiscussionState.COMPLETED)
    said = [turn for turn in view.turns if turn.state == "completed"]
    refused = [turn for turn in view.turns if turn.state == "failed"]
    assert len(said) == len(house.adapter.attempts) >= 2
    assert refused
    assert all(turn.failure and turn.failure.title == "The budget is used up" for turn in refused)
    budget = await stands(house, BudgetScope.DISCUSSION, discussion)
    assert budget.spent <= budget.amount
    assert budget.held == 0
