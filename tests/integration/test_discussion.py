"""The discussion service on a true database and broker, its neighbours stood in for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from contracts.attempts import KeyRef, LiveModel, Parameters, ProbeResult, RunAttempt
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
from contracts.failures import (
    Evidence,
    FailureClass,
    IdempotencyMismatch,
    Internal,
    Invalid,
    NotFound,
    Refused,
    Unavailable,
)
from contracts.keys import Done, KeyAdded, KeyQuarantined, KeyState, KeyVerified, KeyView
from contracts.modes import Mode
from contracts.subjects import chunk_subject, command_subject
from contracts.supply import CatalogsRefreshed, ListModels, ModelList, ProbeKey, RefreshModels
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.house import KIMI, WITHIN, House, running
from tests.neighbours import Adapter, answer, completed, error, neighbours


@pytest_asyncio.fixture
async def house(database: Database, broker: Broker) -> AsyncGenerator[House]:
    adapter, vault = await neighbours(broker)
    async with running(database, broker):
        edge = await broker.bus("edge")
        made = House(edge, adapter, vault, database, broker)
        yield made


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


async def test_a_new_key_runs_alone_until_it_has_proven_itself(house: House) -> None:
    await house.kimi_works()
    may_end = asyncio.Event()

    async def slowly(adapter: Adapter, command: RunAttempt) -> None:
        async def later() -> None:
            await may_end.wait()
            await answer(adapter, command)

        tasks.append(asyncio.create_task(later()))

    tasks: list[asyncio.Task[None]] = []
    house.adapter.script = slowly
    discussion = await house.open("riley-engstrom", "morgan-castellano")

    async def one_runs_one_waits() -> bool:
        view = await house.view(discussion)
        return sorted(turn.state.value for turn in view.turns) == ["running", "waiting"]

    await eventually(one_runs_one_waits)
    assert len(house.adapter.attempts) == 1
    may_end.set()
    await house.reaches(discussion, DiscussionState.COMPLETED)
    await asyncio.gather(*tasks)
    assert [report.accepted for report in house.vault.reports] == [True]


async def test_a_refused_key_parks_and_a_new_one_wakes(house: House) -> None:
    await house.kimi_works()

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "auth", evidence={"status": 401}))

    house.adapter.script = refuse
    discussion = await house.open("riley-engstrom")
    view = await house.reaches(discussion, DiscussionState.PARKED)
    assert view.turns[0].failure is not None
    assert view.turns[0].failure.class_ == "auth"
    another = await house.open("morgan-castellano")
    await house.reaches(another, DiscussionState.PARKED)
    assert len(house.adapter.attempts) == 1, "behind a closed gate nothing is asked"

    house.adapter.script = None
    await house.vault.activate("k1", version=2)

    for parked in (discussion, another):
        woken = await house.reaches(parked, DiscussionState.COMPLETED)
        assert woken.turns[0].state.value == "completed"

    async def reported() -> bool:
        return [report.accepted for report in house.vault.reports] == [False, True]

    await eventually(reported)
    told = [message.subject for message in await house.broker.stored("EVENTS")]
    gates = [subject.rpartition(".")[2] for subject in told if "Gate" in subject]
    assert gates == ["GateClosed", "GateOpened"]


async def test_a_late_refusal_of_a_former_key_does_not_park_for_ever(house: House) -> None:
    await house.kimi_works()
    asked: list[RunAttempt] = []

    async def hold_the_first(adapter: Adapter, command: RunAttempt) -> None:
        asked.append(command)
        if len(asked) > 1:
            await answer(adapter, command)

    house.adapter.script = hold_the_first
    discussion = await house.open("riley-engstrom")
    await eventually(lambda: _truth(asked))
    await house.vault.activate("k1", version=2)
    await house.knows("SELECT 1 FROM keys WHERE version = 2")

    await house.adapter.end(error(asked[0], "auth", evidence={"status": 401}))

    await house.reaches(discussion, DiscussionState.COMPLETED)
    assert [command.key and command.key.version for command in asked] == [1, 2]


async def test_a_gate_that_opens_while_a_turn_is_being_parked_wakes_it(house: House) -> None:
    await house.kimi_works()

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "auth", evidence={"status": 401}))

    house.adapter.script = refuse
    first = await house.open("riley-engstrom")
    await house.reaches(first, DiscussionState.PARKED)
    house.adapter.script = None
    pool = await house.database.pool("discussion")
    await pool.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$;"
        "CREATE TRIGGER pause BEFORE UPDATE ON wakeups FOR EACH ROW "
        "WHEN (NEW.due_at = 'infinity') EXECUTE FUNCTION pause()"
    )
    blocked = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted HAVING count(*) >= "
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(42)")
        second = await house.open("morgan-castellano")
        await house.knows(f"SELECT 1 {blocked} 1")
        await house.vault.activate("k1", version=2)
        # Either the fact waits until the turn is parked, or it has had its effect before that.
        await house.knows(
            f"SELECT 1 WHERE (SELECT count(*) FROM inbox) > 1 OR EXISTS (SELECT {blocked} 2)"
        )

    await house.reaches(first, DiscussionState.COMPLETED)
    await house.reaches(second, DiscussionState.COMPLETED)


async def test_facts_of_a_key_count_in_the_order_in_which_they_were_stated(house: House) -> None:
    await house.kimi_works()
    await house.vault.state(
        KeyAdded(
            at=datetime.now(UTC) - timedelta(minutes=1),
            workspace="default",
            key="k1",
            version=1,
            provider="kimi",
            endpoint="https://api.test/v1",
            region="ai",
            fingerprint="f",
        ),
        "k1",
    )
    await house.knows("SELECT 1 FROM inbox HAVING count(*) > 1")

    discussion = await house.open("riley-engstrom")

    await house.reaches(discussion, DiscussionState.COMPLETED)


async def test_what_is_parked_for_one_key_goes_on_with_another(house: House) -> None:
    await house.kimi_works()
    await house.vault.activate("k2")
    await house.knows("SELECT 1 FROM keys WHERE key = 'k2'")

    async def refuse_k2(adapter: Adapter, command: RunAttempt) -> None:
        if command.key is not None and command.key.key == "k2":
            await adapter.end(error(command, "auth", evidence={"status": 401}))
        else:
            await answer(adapter, command)

    house.adapter.script = refuse_k2
    discussion = await house.open("riley-engstrom")
    await house.reaches(discussion, DiscussionState.PARKED)

    await house.vault.state(
        KeyQuarantined(
            at=datetime.now(UTC),
            workspace="default",
            key="k2",
            version=1,
            provider="kimi",
            endpoint="https://api.test/v1",
            reason="refused",
            next_step="add another",
        ),
        "k2",
    )

    view = await house.reaches(discussion, DiscussionState.COMPLETED)
    assert view.turns[0].attempts == 2


async def test_a_verified_key_wakes_what_waits_for_money(house: House) -> None:
    await house.kimi_works()

    async def broke(adapter: Adapter, command: RunAttempt) -> None:
        await adapter.end(error(command, "billing", evidence={"status": 402}))

    house.adapter.script = broke
    discussion = await house.open("riley-engstrom")
    parked = await house.reaches(discussion, DiscussionState.PARKED)
    assert parked.turns[0].failure is not None
    assert "verify the key" in parked.turns[0].failure.next_step
    house.adapter.script = None

    await house.vault.state(
        KeyVerified(
            at=datetime.now(UTC),
            workspace="default",
            key="k1",
            version=1,
            provider="kimi",
            endpoint="https://api.test/v1",
        ),
        "k1",
    )

    await house.reaches(discussion, DiscussionState.COMPLETED)


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


async def test_two_probes_at_once_are_both_answered(house: House) -> None:
    probes = (
        house.vault.bus.request(
            command_subject("discussion", "probe"),
            ProbeKey(
                workspace="default",
                provider="kimi",
                endpoint="https://api.test/v1",
                key=f"k{number}",
                version=1,
            ),
            ProbeResult,
            within=WITHIN,
        )
        for number in range(8)
    )

    results = await asyncio.gather(*probes)

    assert [result.failure for result in results] == [None] * 8


async def test_nothing_is_asked_of_a_provider_without_a_key(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        await house.open("riley-engstrom")

    assert refused.value.problem.type == "no-key"
    assert "parley keys add kimi" in refused.value.problem.next_step


@pytest.mark.parametrize("model", [KIMI, ""], ids=["chosen", "left open"])
async def test_a_key_added_a_moment_ago_is_known(house: House, model: str) -> None:
    """key_vault's fact may still be on its way; then key_vault itself is asked."""
    house.vault.keys.append(
        KeyView(
            id="k1",
            version=1,
            provider="kimi",
            state=KeyState.ACTIVE,
            endpoint="https://api.test/v1",
            region="ai",
            fingerprint="f",
        )
    )
    await house.vault.bus.request(
        command_subject("discussion", "probe"),
        ProbeKey(
            workspace="default",
            provider="kimi",
            endpoint="https://api.test/v1",
            key="k1",
            version=1,
        ),
        ProbeResult,
        within=WITHIN,
    )

    discussion = await house.open("riley-engstrom", model=model)

    await house.reaches(discussion, DiscussionState.COMPLETED)


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
    await eventually(lambda: _truth(house.adapter.attempts))
    cancel = CancelDiscussion(workspace="default", discussion=discussion)

    await house.ask("cancel", cancel, Done)
    await house.ask("cancel", cancel, Done)

    view = await house.view(discussion)
    assert view.state is DiscussionState.CANCELLED
    await eventually(lambda: _truth(house.adapter.cancelled))
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
    await eventually(lambda: _truth(house.adapter.attempts))
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
        await eventually(lambda: _truth(waiting))
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
        await eventually(lambda: _truth(adapter.probes[2:]))


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
    await eventually(lambda: _truth(commands))
    await house.knows("SELECT 1 FROM attempts")
    for _ in range(20):  # what the refusal could lead to has been journaled by then
        assert (await house.view(discussion)).turns[0].attempts == 1

    await house.adapter.end(completed(commands[0], "It was sent."))

    view = await house.reaches(discussion, DiscussionState.COMPLETED)
    assert (len(commands), view.turns[0].text) == (1, "It was sent.")


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


# --- Lists of models --------------------------------------------------------------------------

LAB = LiveModel(
    id="lab-9", thinks=True, input_price=Decimal(2), output_price=Decimal(4), context_window=99
)


async def test_what_only_the_list_knows_of_a_model_counts_from_the_opening_on(house: House) -> None:
    house.adapter.probe = ProbeResult(models=[LiveModel(id="kimi-k2.6"), LAB])
    await house.kimi_works()

    discussion = await house.open("riley-engstrom", model="kimi/lab-9")
    view = await house.reaches(discussion, DiscussionState.COMPLETED)

    (sent,) = house.adapter.attempts
    assert (sent.thinks, sent.parameters.max_completion_tokens) == (True, 8_192)
    (turn,) = view.turns
    assert turn.price is not None
    assert (turn.price.input, turn.price.output) == (2, 4)
    assert turn.cost is not None
    assert turn.cost.amount == Decimal("0.0001")  # 10 in, 20 out


async def due(house: House, key: str) -> timedelta | None:
    """In how long the key's list is looked at again by itself."""
    pool = await house.database.pool("discussion")
    return await pool.fetchval(
        "SELECT due_at - clock() FROM wakeups WHERE kind = 'look' AND subject = $1", key
    )


async def make_due(house: House) -> None:
    pool = await house.database.pool("discussion")
    await pool.execute("UPDATE wakeups SET due_at = clock() WHERE kind = 'look'")


async def test_a_keys_list_is_looked_at_once_an_hour(house: House) -> None:
    await house.kimi_works()
    wait = await due(house, "k1")
    assert wait is not None
    assert timedelta(minutes=59) < wait <= timedelta(minutes=72)
    before = len(house.adapter.probes)
    house.adapter.probe = ProbeResult(models=[LiveModel(id="kimi-k2.6"), LAB])

    await make_due(house)

    async def newer() -> bool:
        models = await house.ask("models", ListModels(workspace="default"), ModelList)
        return any(model.id == "kimi/lab-9" for model in models.items)

    await eventually(newer)
    assert len(house.adapter.probes) == before + 1
    assert house.adapter.probes[-1].key == KeyRef(key="k1", version=1)
    wait = await due(house, "k1")
    assert wait is not None
    assert wait > timedelta(minutes=59)


async def test_a_look_that_failed_leaves_the_list_as_it_was_until_the_next_hour(
    house: House,
) -> None:
    await house.kimi_works()
    house.adapter.probe = ProbeResult(failure=FailureClass.TRANSIENT)
    before = len(house.adapter.probes)

    await make_due(house)
    await eventually(lambda: _truth(house.adapter.probes[before:]))

    async def later() -> bool:
        wait = await due(house, "k1")
        return wait is not None and wait > timedelta(minutes=59)

    await eventually(later)
    models = await house.ask("models", ListModels(workspace="default"), ModelList)
    assert KIMI in {model.id for model in models.items}
    assert len(house.adapter.probes) == before + 1


async def test_a_key_out_of_use_is_not_looked_at(house: House) -> None:
    await house.kimi_works()
    await house.vault.state(
        KeyQuarantined(
            at=datetime.now(UTC),
            workspace="default",
            key="k1",
            version=1,
            provider="kimi",
            endpoint="https://api.test/v1",
            reason="refused",
            next_step="Add another.",
        ),
        "k1",
    )
    await house.knows("SELECT count(*) FROM keys WHERE state = 'quarantined'")
    before = len(house.adapter.probes)

    await make_due(house)
    await house.knows("SELECT count(*) = 0 FROM wakeups WHERE kind = 'look'")

    assert len(house.adapter.probes) == before


async def test_all_lists_are_looked_at_when_somebody_asks(house: House) -> None:
    await house.kimi_works()
    command = RefreshModels(workspace="default")

    seen = await house.ask("refresh", command, CatalogsRefreshed)
    house.adapter.probe = ProbeResult(
        failure=FailureClass.OVERLOADED, evidence=Evidence(message="full up")
    )
    unseen = await house.ask("refresh", command, CatalogsRefreshed)

    assert [(line.provider, line.key, line.models) for line in seen.items] == [("kimi", "k1", 2)]
    (line,) = unseen.items
    assert line.models is None
    assert "overloaded" in line.reason
    assert "full up" in line.reason
    assert "still in use" in line.next_step


async def _truth(things: list[Any]) -> bool:
    return bool(things)
