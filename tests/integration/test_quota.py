"""An account without balance: looked at free of charge, rarely, until it can pay again."""

from __future__ import annotations

from datetime import timedelta

import pytest
import pytest_asyncio

from contracts.attempts import ProbeResult, RunAttempt
from contracts.discussion import DiscussionState
from contracts.failures import Balance, Evidence, FailureClass
from contracts.keys import KeyVerified
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from tests.eventually import eventually
from tests.house import WITHIN, House
from tests.neighbours import ENDPOINT, Adapter, error, of_key

EMPTY = Balance(amount="0.00", currency="USD", enough=False)
FULL = Balance(amount="20.00", currency="USD", enough=True)
QUARTER = timedelta(minutes=15)


@pytest_asyncio.fixture
async def house(house: House) -> House:
    """With one key that works."""
    await house.kimi_works()
    house.adapter.probes.clear()
    return house


@pytest.fixture
def tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is one at which the balance is told."""
    monkeypatch.setenv("KIMI_BASE_URL", ENDPOINT)


async def broke(adapter: Adapter, command: RunAttempt) -> None:
    await adapter.end(error(command, "billing", evidence={"status": 429}))


async def parked(house: House, talks: int = 1) -> list[str]:
    house.adapter.script = broke
    opened: list[str] = []
    for _ in range(talks):
        opened.append(await house.open("riley-engstrom"))
        await house.reaches(opened[-1], DiscussionState.PARKED)
    return opened


async def looked(house: House, times: int) -> None:
    """So many looks were made, and what came of the last one is written down: time may go on."""

    async def looks() -> bool:
        assert len(house.adapter.probes) <= times
        return len(house.adapter.probes) == times

    await eventually(looks)
    await house.knows(
        "SELECT count(*) = 0 FROM wakeups WHERE kind = 'quota' "
        "AND (due_at <= clock() OR claimed_until > clock())"
    )


async def detail(house: House, talk: str) -> str:
    failure = (await house.view(talk)).turns[0].failure
    return failure.detail if failure else ""


async def facts(house: House) -> list[str]:
    stored = await house.broker.stored("EVENTS")
    names = [message.subject.rpartition(".")[2] for message in stored]
    return [name for name in names if name in {"GateClosed", "GateOpened", "QuotaRestored"}]


@pytest.mark.usefixtures("tells")
async def test_what_is_parked_for_money_says_how_much_there_is(house: House) -> None:
    house.adapter.probe = ProbeResult(balance=EMPTY)
    (talk,) = await parked(house)

    async def told() -> bool:
        return "The account's balance is 0.00 USD." in await detail(house, talk)

    await eventually(told)
    assert [probe.at for probe in house.adapter.probes] == ["balance"]

    async def reported() -> bool:
        return [report.balance for report in house.vault.reports] == [EMPTY]

    await eventually(reported)


@pytest.mark.usefixtures("tells")
async def test_it_is_looked_at_each_quarter_of_an_hour_and_goes_on_when_it_can_pay(
    house: House,
) -> None:
    house.adapter.probe = ProbeResult(balance=EMPTY)
    talks = await parked(house, 3)
    await looked(house, 1)
    asked = len(house.adapter.attempts)
    for times in (2, 3):
        await house.later(QUARTER)
        await looked(house, times)
    assert len(house.adapter.attempts) == asked
    assert "QuotaRestored" not in await facts(house)

    house.adapter.probe, house.adapter.script = ProbeResult(balance=FULL), None
    await house.later(QUARTER)
    # One goes first, and its success lets the others follow.
    for talk in talks:
        await house.reaches(talk, DiscussionState.COMPLETED)

    async def stated() -> bool:
        return (await facts(house))[-2:] == ["QuotaRestored", "GateOpened"]

    await eventually(stated)


@pytest.mark.usefixtures("tells")
async def test_a_full_account_that_is_refused_all_the_same_is_not_asked_again_and_again(
    house: House,
) -> None:
    """A limit of the project, perhaps: one refusal a quarter of an hour, however many wait."""
    house.adapter.probe = ProbeResult(balance=FULL)
    await parked(house, 3)
    await looked(house, 1)
    asked = len(house.adapter.attempts)
    for times in (1, 2):
        await house.later(QUARTER)

        async def once(times: int = times) -> bool:
            assert len(house.adapter.attempts) <= asked + times
            return len(house.adapter.attempts) == asked + times

        await eventually(once)

        async def closed_again(times: int = times) -> bool:
            return (await facts(house)).count("GateClosed") == 1 + times

        await eventually(closed_again)
    await house.later(timedelta(minutes=2))
    assert await house.database.pool("discussion")
    assert len(house.adapter.attempts) == asked + 2


async def test_where_no_balance_is_told_the_models_are_asked_for(house: House) -> None:
    (talk,) = await parked(house)
    good = house.adapter.probe
    house.adapter.probe = ProbeResult(
        failure=FailureClass.BILLING, evidence=Evidence(status=402), sent=True
    )
    assert house.adapter.probes == []
    await house.later(QUARTER)
    await looked(house, 1)
    assert (await house.view(talk)).state is DiscussionState.PARKED
    house.adapter.probe, house.adapter.script = good, None
    await house.later(QUARTER)
    await house.reaches(talk, DiscussionState.COMPLETED)
    assert [probe.at for probe in house.adapter.probes] == ["models", "models"]


@pytest.mark.usefixtures("tells")
async def test_a_verification_asks_for_the_balance_when_it_matters(house: House) -> None:
    async def verified(*, balance: bool = False) -> list[str]:
        house.adapter.probes.clear()
        question = ProbeKey(
            workspace="default",
            provider="kimi",
            endpoint=ENDPOINT,
            key="k1",
            version=1,
            balance=balance,
        )
        await house.vault.bus.request(
            command_subject("discussion", "probe"), question, ProbeResult, within=WITHIN
        )
        return [probe.at for probe in house.adapter.probes]

    assert await verified() == ["models"]
    assert await verified(balance=True) == ["models", "balance"]
    house.adapter.probes.clear()
    await parked(house)
    await looked(house, 1)
    assert await verified() == ["models", "balance"]


async def test_a_verified_key_whose_account_is_empty_wakes_nobody(house: House) -> None:
    (talk,) = await parked(house)
    house.adapter.script = None

    async def verified(balance: Balance) -> None:
        fact = of_key(KeyVerified, "k1", balance=balance)
        await house.vault.state(fact, "k1")

    heard = "SELECT count(*) FROM inbox"
    pool = await house.database.pool("discussion")
    before = await pool.fetchval(heard)
    await verified(EMPTY)
    await house.knows(f"SELECT count(*) > {before} FROM inbox")
    assert (await house.view(talk)).state is DiscussionState.PARKED
    await verified(FULL)
    await house.reaches(talk, DiscussionState.COMPLETED)
