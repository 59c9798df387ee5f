"""Discussions outlive faults that pass, adapters that die, and their own service."""

from __future__ import annotations

import pytest
import structlog.testing

from contracts.attempts import ProbeResult, RunAttempt
from contracts.discussion import (
    DiscussionList,
    DiscussionState,
    GetHistory,
    History,
    ListDiscussions,
    OpenDiscussion,
    Opened,
    WantedParticipant,
)
from contracts.failures import Evidence, FailureClass, Internal, Invalid, Refused, Unavailable
from contracts.modes import Mode
from contracts.subjects import chunk_subject
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import House, running
from tests.neighbours import Adapter, answer, completed, error, neighbours


async def test_a_passing_fault_is_tried_again(house: House) -> None:
    await house.kimi_works()

    async def stumble(adapter: Adapter, command: RunAttempt) -> None:
        if len(adapter.attempts) < 3:
            await adapter.end(error(command, "transient", evidence={"status": 503}))
        else:
            await answer(adapter, command)

    house.adapter.script = stumble

    discussion = await house.open("riley-engstrom")
    view = await house.reaches(discussion, DiscussionState.COMPLETED)

    assert view.turns[0].attempts == 3
    assert len({attempt.attempt for attempt in house.adapter.attempts}) == 3


async def test_the_silence_asked_for_is_kept_after_the_turn_was_given_up(house: House) -> None:
    await house.kimi_works()

    async def throttle(adapter: Adapter, command: RunAttempt) -> None:
        last = {"retry_after": 600.0} if len(adapter.attempts) == 4 else {}
        await adapter.end(error(command, "throttled", evidence={"status": 429, **last}))

    house.adapter.script = throttle
    await house.reaches(await house.open("riley-engstrom"), DiscussionState.FAILED)
    house.adapter.script = None

    another = await house.open("morgan-castellano")

    view = await house.reaches(another, DiscussionState.WAITING, DiscussionState.COMPLETED)
    assert (view.state, view.turns[0].attempts) == (DiscussionState.WAITING, 0)
    failure = view.turns[0].failure
    assert failure is not None
    assert failure.class_ == "throttled"
    assert failure.not_before is not None


async def test_what_nobody_can_explain_is_tried_once_more_and_somebody_is_told(
    house: House,
) -> None:
    await house.kimi_works()

    async def puzzle(adapter: Adapter, command: RunAttempt) -> None:
        odd = {"status": 499, "type": "odd", "message": "what people said"}
        await adapter.end(error(command, "unknown", evidence=odd))

    house.adapter.script = puzzle
    with structlog.testing.capture_logs() as logs:
        discussion = await house.open("riley-engstrom")
        view = await house.reaches(discussion, DiscussionState.FAILED)

    assert view.turns[0].attempts == 2
    alerts = [line for line in logs if line.get("alert")]
    assert [(line["status"], line["type"]) for line in alerts] == [(499, "odd")] * 2
    assert {line["discussion"] for line in alerts} == {discussion}
    assert "what people said" not in str(alerts)


async def test_an_attempt_whose_adapter_died_is_found_and_its_text_kept(house: House) -> None:
    """The lease is shortened here instead of waiting for it."""
    await house.kimi_works()

    async def die(adapter: Adapter, command: RunAttempt) -> None:
        if len(adapter.attempts) == 1:
            await adapter.say(command, "Half a sen")
        else:
            await answer(adapter, command)

    house.adapter.script = die
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: house.adapter.attempts)
    heard = chunk_subject("default", discussion, house.adapter.attempts[0].attempt)
    await eventually(lambda: house.edge.last_chunk(heard))
    pool = await house.database.pool("discussion")
    await pool.execute(
        "CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz LANGUAGE sql VOLATILE "
        "AS $$SELECT clock_timestamp() + interval '31 seconds'$$"
    )

    view = await house.reaches(discussion, DiscussionState.COMPLETED)

    assert view.turns[0].attempts == 2
    assert view.turns[0].text == "kimi-k2.6 says hello."
    history = await house.ask(
        "history", GetHistory(workspace="default", discussion=discussion), History
    )
    cut = next(entry.event for entry in history.items if entry.name == "AttemptCut")
    assert cut["text"] == "Half a sen"


async def test_a_restart_loses_nothing(database: Database, broker: Broker) -> None:
    adapter, vault = await neighbours(broker)
    edge = await broker.bus("edge")
    house = House(edge, adapter, vault, database, broker)
    waiting: list[RunAttempt] = []

    async def hold(adapter: Adapter, command: RunAttempt) -> None:
        waiting.append(command)

    async with running(database, broker):
        await house.kimi_works()
        done = await house.open("riley-engstrom")
        before = await house.reaches(done, DiscussionState.COMPLETED)
        adapter.script = hold
        discussion = await house.open("riley-engstrom")
        await eventually(lambda: waiting)
    await adapter.end(completed(waiting[0], "While you were away."))

    async with running(database, broker):
        view = await house.reaches(discussion, DiscussionState.COMPLETED)
        assert view.turns[0].text == "While you were away."
        assert await house.view(done) == before
        listed = await house.ask("list", ListDiscussions(workspace="default"), DiscussionList)
        assert [line.id for line in listed.items] == [discussion, done]
    assert len(adapter.attempts) == 2


async def test_without_an_adapter_a_turn_waits_and_goes_on_when_there_is_one(
    database: Database, broker: Broker
) -> None:
    adapter, vault = await neighbours(broker)
    house = House(await broker.bus("edge"), adapter, vault, database, broker)
    async with running(database, broker):
        await house.kimi_works()
        await adapter.bus.drain()
        discussion = await house.open("riley-engstrom")
        view = await house.reaches(discussion, DiscussionState.WAITING)
        assert view.turns[0].attempts == 0
        back = Adapter(await broker.bus("provider_adapter"))
        await back.serve()

        view = await house.reaches(discussion, DiscussionState.COMPLETED)

        assert view.turns[0].attempts == 1


async def test_the_first_question_need_not_wait_for_the_next_look_at_the_local_model(
    database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_BASE_URL", "http://127.0.0.1:9/v1")
    adapter, vault = await neighbours(broker)
    works = adapter.probe
    adapter.probe = ProbeResult(failure=FailureClass.TRANSIENT, evidence=Evidence(message="later"))
    house = House(await broker.bus("edge"), adapter, vault, database, broker)

    async def looked() -> bool:
        return bool(adapter.probes)

    async with running(database, broker):
        await eventually(looked)
        adapter.probe = works
        command = OpenDiscussion(
            workspace="default",
            mode=Mode.SINGLE,
            participants=[WantedParticipant(persona="riley-engstrom")],
            topic="Tea?",
        )
        opened = await house.ask("open", command, Opened)

        view = await house.reaches(opened.discussion, DiscussionState.COMPLETED)

        assert view.turns[0].model.startswith("local/")


async def test_a_turn_for_the_local_model_goes_on_when_it_is_switched_on_again(
    database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, vault = await neighbours(broker)
    house = House(await broker.bus("edge"), adapter, vault, database, broker)
    monkeypatch.setenv("LOCAL_BASE_URL", "http://127.0.0.1:9/v1")

    async def stumble(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "throttled", evidence={"retry_after": 2.0}))

    async with running(database, broker):
        await house.knows("SELECT 1 FROM catalogs")
        adapter.script = stumble
        discussion = await house.open("riley-engstrom", model="local/kimi-k3")
        await house.reaches(discussion, DiscussionState.WAITING)
    monkeypatch.delenv("LOCAL_BASE_URL")
    async with running(database, broker):
        view = await house.reaches(discussion, DiscussionState.PARKED)
        assert view.turns[0].failure is not None
        assert "Start Parley without" in view.turns[0].failure.next_step
    adapter.script = None
    monkeypatch.setenv("LOCAL_BASE_URL", "http://127.0.0.1:9/v1")

    async with running(database, broker):
        await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_a_model_that_still_loads_is_looked_for_soon_however_old_the_house(
    database: Database, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, vault = await neighbours(broker)
    house = House(await broker.bus("edge"), adapter, vault, database, broker)
    monkeypatch.setenv("LOCAL_BASE_URL", "http://127.0.0.1:9/v1")
    async with running(database, broker):
        await house.knows("SELECT 1 FROM catalogs")
        pool = await database.pool("discussion")
        await pool.execute("UPDATE wakeups SET tries = 99")
    adapter.probe = ProbeResult(failure=FailureClass.TRANSIENT)
    adapter.probes.clear()

    async with running(database, broker):
        await eventually(lambda: adapter.probes[2:])


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (Invalid("The address is not one."), DiscussionState.FAILED),
        (Unavailable("Too many attempts at once."), DiscussionState.WAITING),
    ],
)
async def test_what_an_adapter_refuses_is_not_asked_for_ever(
    house: House, refusal: Refused, state: DiscussionState
) -> None:
    """Wrong in itself: it fails. No room: it waits."""
    await house.kimi_works()

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        raise refusal

    house.adapter.script = refuse

    view = await house.reaches(await house.open("riley-engstrom"), state)

    assert view.turns[0].attempts == 0


async def test_an_adapter_that_stumbles_may_have_sent_the_request(house: House) -> None:
    await house.kimi_works()
    commands: list[RunAttempt] = []

    async def stumble(adapter: Adapter, command: RunAttempt) -> None:
        commands.append(command)
        raise Internal("Look into the log.")

    house.adapter.script = stumble
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: commands)
    await house.knows("SELECT 1 FROM attempts")
    for _ in range(20):  # what the refusal could lead to has been journaled by then
        assert (await house.view(discussion)).turns[0].attempts == 1

    await house.adapter.end(completed(commands[0], "It was sent."))

    view = await house.reaches(discussion, DiscussionState.COMPLETED)
    assert (len(commands), view.turns[0].text) == (1, "It was sent.")
