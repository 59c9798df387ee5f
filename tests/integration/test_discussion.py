"""Discussions from opening to end, on a true database and broker, their neighbours stood in for."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.attempts import Parameters, RunAttempt
from contracts.discussion import (
    CancelDiscussion,
    DiscussionList,
    DiscussionState,
    GetHistory,
    History,
    ListDiscussions,
    OpenDiscussion,
    Opened,
    WantedParticipant,
)
from contracts.failures import IdempotencyMismatch, Invalid, NotFound
from contracts.keys import Done
from contracts.modes import Mode
from contracts.subjects import chunk_subject
from tests.eventually import eventually
from tests.house import KIMI, House
from tests.neighbours import Adapter


async def test_two_personas_answer(house: House) -> None:
    await house.kimi_works()

    discussion = await house.open("riley-engstrom", "morgan-castellano")
    view = await house.reaches(discussion, DiscussionState.COMPLETED)

    assert [turn.persona for turn in view.turns] == ["riley-engstrom", "morgan-castellano"]
    assert {turn.text for turn in view.turns} == {"kimi-k2.6 says hello."}
    assert [turn.attempts for turn in view.turns] == [1, 1]
    assert view.turns[0].cost is not None
    prompts = [attempt.messages[0].content for attempt in house.adapter.attempts]
    assert "You are Riley Engstrom." in prompts
    assert "You are Morgan Castellano." in prompts


async def test_history_is_contiguous_and_ends_with_the_end(house: House) -> None:
    await house.kimi_works()
    discussion = await house.open("riley-engstrom")
    await house.reaches(discussion, DiscussionState.COMPLETED)

    history = await house.ask(
        "history", GetHistory(workspace="default", discussion=discussion), History
    )

    assert [entry.version for entry in history.items] == list(range(1, history.version + 1))
    assert [entry.name for entry in history.items] == [
        "DiscussionOpened",
        "TurnScheduled",
        "AttemptStarted",
        "TurnCompleted",
        "DiscussionCompleted",
    ]
    assert history.state is DiscussionState.COMPLETED


@pytest.mark.parametrize(
    ("persona", "model", "slug"),
    [
        ("rilly-engstrom", KIMI, "unknown-persona"),
        ("riley-engstrom", "kimi/kimi-k26", "unknown-model"),
        ("riley-engstrom", "kimi/kimi-k2-0711-preview", "retired-model"),
        ("riley-engstrom", "nobody/x", "unknown-provider"),
    ],
)
async def test_what_is_not_there_is_refused_before_anything_is_paid(
    house: House, persona: str, model: str, slug: str
) -> None:
    await house.kimi_works()

    with pytest.raises(Invalid) as refused:
        await house.ask(
            "open",
            OpenDiscussion(
                workspace="default",
                mode=Mode.SINGLE,
                participants=[WantedParticipant(persona=persona, model=model)],
                topic="Tea?",
            ),
            Opened,
        )

    assert refused.value.problem.type == slug
    assert refused.value.problem.nearest or refused.value.problem.successor
    assert house.adapter.attempts == []


async def test_cancelling_stops_what_runs(house: House) -> None:
    await house.kimi_works()

    async def never(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.say(command, "Well,")

    house.adapter.script = never
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: house.adapter.attempts)
    subject = chunk_subject("default", discussion, house.adapter.attempts[0].attempt)
    await eventually(lambda: house.edge.last_chunk(subject))
    cancel = CancelDiscussion(workspace="default", discussion=discussion)

    await house.ask("cancel", cancel, Done)
    await house.ask("cancel", cancel, Done)

    view = await house.view(discussion)
    assert view.state is DiscussionState.CANCELLED
    assert view.turns[0].text == "Well,", "what had been said by then is kept"
    await eventually(lambda: house.adapter.cancelled)
    assert house.adapter.cancelled == [house.adapter.attempts[0].attempt]


async def test_an_idempotency_key_opens_one_discussion(house: House) -> None:
    await house.kimi_works()
    once: dict[str, Any] = {"idempotency_key": "same", "body_hmac": b"x"}

    first = await house.open("riley-engstrom", **once)
    second = await house.open("riley-engstrom", **once)

    assert first == second
    with pytest.raises(IdempotencyMismatch):
        await house.open("riley-engstrom", idempotency_key="same", body_hmac=b"y")


async def test_foreign_and_garbled_ids_are_not_found(house: House) -> None:
    for discussion in ("", "*", "x" * 1000, "01890a5d-ac96-774b-bcce-b302099a8057"):
        with pytest.raises(NotFound):
            await house.view(discussion)


async def test_options_reach_the_provider(house: House) -> None:
    await house.kimi_works()

    discussion = await house.open(
        "riley-engstrom", parameters=Parameters(max_completion_tokens=7, temperature=0.5)
    )
    await house.reaches(discussion, DiscussionState.COMPLETED)

    sent = house.adapter.attempts[0].parameters
    assert (sent.max_completion_tokens, sent.temperature) == (7, 0.5)


async def test_a_wish_that_a_model_cannot_keep_is_refused_before_anything_is_sent(
    house: House,
) -> None:
    await house.kimi_works()
    wish = Parameters(max_completion_tokens=7, tool_choice="required")

    with pytest.raises(Invalid) as caught:
        await house.open("riley-engstrom", "morgan-castellano", parameters=wish)

    problem = caught.value.problem
    assert (problem.type, problem.errors[0]["field"]) == (
        "unsupported-parameter",
        "options.tool_choice",
    )
    assert "kimi-k2.6" in problem.detail
    assert "or choose another model" in problem.next_step
    command = ListDiscussions(workspace="default")
    assert (await house.ask("list", command, DiscussionList)).items == []
    assert house.adapter.attempts == []
