"""What every request has cost: stated once, however it ended, and added up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from contracts.attempts import RunAttempt
from contracts.discussion import DiscussionState
from contracts.discussion_events import DISCUSSION_EVENTS
from contracts.stream import Usage, UsageStatus
from contracts.subjects import chunk_subject
from contracts.usage import Ending, UsageCorrected, UsageRecorded
from services.discussion import ledger
from shared.journal import Journal
from tests import invariants
from tests.eventually import eventually
from tests.house import House
from tests.neighbours import Adapter, answer, completed, error


@pytest_asyncio.fixture
async def house(house: House) -> AsyncGenerator[House]:
    """Whose books are right in the end."""
    yield house
    async with (await house.database.pool("discussion")).acquire() as conn:
        invariants.hold(await invariants.books(conn))


async def bills(house: House, discussion: str) -> list[UsageRecorded | UsageCorrected]:
    pool = await house.database.pool("discussion")
    journal = Journal[Any](DISCUSSION_EVENTS)
    async with pool.acquire() as conn:
        return [each.event for each in await journal.load(conn, ledger.stream_of(discussion))]


def measured(input_: int, output: int) -> dict[str, Any]:
    return {"input_tokens": input_, "output_tokens": output, "status": "measured"}


async def test_an_answer_is_recorded_with_who_asked_and_at_which_price(house: House) -> None:
    await house.kimi_works()

    discussion = await house.open("riley-engstrom", by="token-1")
    await house.reaches(discussion, DiscussionState.COMPLETED)

    (bill,) = await bills(house, discussion)
    assert isinstance(bill, UsageRecorded)
    assert (bill.provider, bill.model) == ("kimi", "kimi-k2.6")
    assert (bill.persona, bill.token) == ("riley-engstrom", "token-1")
    assert bill.usage == Usage(input_tokens=10, output_tokens=20, status=UsageStatus.MEASURED)
    view = await house.view(discussion)
    assert bill.cost == view.turns[0].cost is not None
    assert bill.price_read == view.participants[0].price.read  # type: ignore[union-attr]
    assert bill.day == datetime.now(UTC).date().isoformat()
    assert bill.ended is Ending.ANSWERED


async def test_a_retried_turn_has_a_bill_for_each_request(house: House) -> None:
    await house.kimi_works()

    async def once_broken(adapter: Adapter, command: RunAttempt) -> None:
        if len(adapter.attempts) > 1:
            await answer(adapter, command)
        else:
            half = error(command, "midstream", text="Half of it", usage=measured(7, 3))
            await adapter.end(half)

    house.adapter.script = once_broken
    discussion = await house.open("riley-engstrom")
    await house.reaches(discussion, DiscussionState.COMPLETED)

    first, second = await bills(house, discussion)
    assert (first.ended, second.ended) == (Ending.FAILED, Ending.ANSWERED)
    assert first.usage == Usage(input_tokens=7, output_tokens=3, status=UsageStatus.MEASURED)
    assert first.attempt != second.attempt


async def test_a_refusal_is_estimated_to_cost_nothing(house: House) -> None:
    await house.kimi_works()

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "auth", evidence={"status": 401}))

    house.adapter.script = refuse
    discussion = await house.open("riley-engstrom")
    await house.reaches(discussion, DiscussionState.PARKED)

    (bill,) = await bills(house, discussion)
    assert bill.usage == Usage(status=UsageStatus.ESTIMATED)
    assert bill.cost is not None
    assert bill.cost.amount == 0


async def test_what_was_never_sent_is_on_no_bill(house: House) -> None:
    await house.kimi_works()

    async def once_unsent(adapter: Adapter, command: RunAttempt) -> None:
        if len(adapter.attempts) > 1:
            await answer(adapter, command)
        else:
            await adapter.end(error(command, "transient", hint="connect", sent=False))

    house.adapter.script = once_unsent
    discussion = await house.open("riley-engstrom")
    await house.reaches(discussion, DiscussionState.COMPLETED)

    (bill,) = await bills(house, discussion)
    assert bill.attempt == house.adapter.attempts[-1].attempt


async def silent(adapter: Adapter, command: RunAttempt) -> None:
    """It is asked, and does not answer yet."""


async def test_what_is_given_up_is_unknown_until_the_provider_has_said(house: House) -> None:
    await house.kimi_works()
    house.adapter.script = silent
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: _asked(house))
    await house.cancel(discussion)

    (bill,) = await bills(house, discussion)
    assert bill.ended is Ending.CANCELLED
    assert bill.usage.status is UsageStatus.UNKNOWN
    assert bill.cost is None

    (attempt,) = house.adapter.attempts
    late = error(attempt, "midstream", hint="cancelled", text="I", usage=measured(11, 2))
    for _ in range(2):  # it may be said twice
        await house.adapter.end(late)

    async def corrected() -> bool:
        return len(await bills(house, discussion)) > 1

    await eventually(corrected)
    await house.adapter.end(completed(attempt, "I would have said"))
    _, correction, *more = await bills(house, discussion)
    assert isinstance(correction, UsageCorrected)
    assert correction.usage == Usage(input_tokens=11, output_tokens=2, status=UsageStatus.MEASURED)
    assert correction.cost is not None
    assert not more


async def test_one_whose_adapter_died_is_estimated_until_the_provider_has_said(
    house: House,
) -> None:
    await house.kimi_works()

    async def dies(adapter: Adapter, command: RunAttempt) -> None:
        if len(adapter.attempts) > 1:
            await answer(adapter, command)
        else:
            await adapter.say(command, "Half a sentence")

    house.adapter.script = dies
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: _asked(house))
    heard = chunk_subject("default", discussion, house.adapter.attempts[0].attempt)
    await eventually(lambda: house.edge.last_chunk(heard))
    await house.later(timedelta(seconds=31))
    await house.reaches(discussion, DiscussionState.COMPLETED)

    cut, answered = await bills(house, discussion)
    assert (cut.ended, answered.ended) == (Ending.CUT, Ending.ANSWERED)
    assert cut.usage.status is UsageStatus.ESTIMATED
    assert cut.usage.input_tokens > 0, "the question was sent, whatever came of it"
    assert cut.usage.output_tokens == len("Half a sentence") // 3

    await house.adapter.end(completed(house.adapter.attempts[0], "Half a sentence, and the rest"))

    async def corrected() -> bool:
        return len(await bills(house, discussion)) > 2

    await eventually(corrected)
    correction = (await bills(house, discussion))[-1]
    assert correction.attempt == cut.attempt
    assert correction.usage.status is UsageStatus.MEASURED


async def test_what_turns_out_never_to_have_been_sent_is_taken_off(house: House) -> None:
    await house.kimi_works()
    house.adapter.script = silent
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: _asked(house))
    await house.cancel(discussion)
    (attempt,) = house.adapter.attempts

    await house.adapter.end(error(attempt, "transient", hint="cancelled", sent=False))

    async def corrected() -> bool:
        return len(await bills(house, discussion)) > 1

    await eventually(corrected)
    _, correction = await bills(house, discussion)
    assert isinstance(correction, UsageCorrected)
    assert not correction.sent
    await house.knows("SELECT sum(requests) = 0 FROM ledger_days")


async def _asked(house: House) -> bool:
    return bool(house.adapter.attempts)
