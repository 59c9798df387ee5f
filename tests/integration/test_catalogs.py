"""Lists of models: who is asked for one, how often, and what is done with it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from contracts.attempts import KeyRef, LiveModel, ProbeResult
from contracts.discussion import DiscussionState
from contracts.failures import Evidence, FailureClass
from contracts.keys import KeyQuarantined
from contracts.supply import CatalogsRefreshed, ListModels, ModelList, RefreshModels
from tests.eventually import eventually
from tests.house import KIMI, House
from tests.neighbours import of_key

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
    await eventually(lambda: house.adapter.probes[before:])

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
        of_key(KeyQuarantined, "k1", reason="refused", next_step="Add another."),
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
