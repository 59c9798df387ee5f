"""What tests of a failing provider say again and again, with discussion as the house."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from contracts.attempts import RunAttempt
from contracts.discussion import DiscussionState
from contracts.discussion_events import AttemptStarted
from contracts.keys import KeySuspected, KeyVerified
from contracts.supply import ListProviders, ProviderList, ProviderView, SetLimits
from tests import invariants
from tests.eventually import eventually
from tests.house import House
from tests.invariants import Books
from tests.neighbours import Adapter, answer, error, of_key

Script = Callable[[Adapter, RunAttempt], Awaitable[None]]
OVER = (DiscussionState.COMPLETED, DiscussionState.FAILED, DiscussionState.CANCELLED)


def failing(class_: str, status: int, *, hint: str = "", **evidence: Any) -> Script:
    """A provider that always says no, in this way."""

    async def refuse(adapter: Adapter, command: RunAttempt) -> None:
        told = {"status": status, **evidence}
        await adapter.end(error(command, class_, hint=hint, evidence=told))

    return refuse


def once(first: Script, then: Script = answer) -> Script:
    """`first` to whoever comes first, `then` to all others."""
    asked: list[str] = []

    async def perform(adapter: Adapter, command: RunAttempt) -> None:
        asked.append(command.attempt)
        await (first if len(asked) == 1 else then)(adapter, command)

    return perform


class Held:
    """A provider that says nothing until it is told to."""

    def __init__(self, house: House) -> None:
        self.asked: list[RunAttempt] = []
        self._house = house
        house.adapter.script = self._hold

    async def _hold(self, _: Adapter, command: RunAttempt) -> None:
        self.asked.append(command)

    async def has(self, number: int) -> list[RunAttempt]:
        """Wait until it was asked so often."""

        async def so_many() -> bool:
            return len(self.asked) >= number

        await eventually(so_many)
        assert len(self.asked) == number
        return self.asked


async def prove_the_key(house: House) -> None:
    """One answer, so that requests may run beside each other."""
    first = await house.open("riley-engstrom")
    await house.reaches(first, DiscussionState.COMPLETED)


async def talks(house: House, number: int, **more: Any) -> list[str]:
    return [await house.open("riley-engstrom", **more) for _ in range(number)]


async def all_reach(house: House, these: list[str], *states: DiscussionState) -> None:
    for talk in these:
        await house.reaches(talk, *states)


async def asked(house: House, times: int) -> None:
    """Wait until the provider was asked so often, in all; more is too many."""

    async def so_many() -> bool:
        assert len(house.adapter.attempts) <= times
        return len(house.adapter.attempts) == times

    await eventually(so_many)


async def at_rest(house: House) -> None:
    """Wait until nothing runs and nothing is due: without more time nothing happens any more."""
    await house.knows(
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM attempts) AND NOT EXISTS ("
        "SELECT FROM wakeups WHERE kind = 'turn' AND due_at <= clock())"
    )


async def without_a_timer(house: House) -> None:
    """Wait until no turn would ask again, however much time passes."""
    await house.knows(
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM attempts) AND NOT EXISTS ("
        "SELECT FROM wakeups WHERE kind = 'turn' AND due_at < 'infinity')"
    )


async def now(house: House) -> datetime:
    """The time that decisions go by."""
    pool = await house.database.pool("discussion")
    moment: datetime = await pool.fetchval("SELECT clock()")
    return moment


async def written(house: House) -> Books:
    pool = await house.database.pool("discussion")
    async with pool.acquire() as conn:
        return await invariants.books(conn)


async def started_since(house: House, moment: datetime) -> list[AttemptStarted]:
    found = await written(house)
    return [event for event in found.started() if event.at > moment]


async def kimi(house: House) -> ProviderView:
    found = await house.ask("providers", ListProviders(workspace="default"), ProviderList)
    return next(view for view in found.items if view.name == "kimi")


async def limit(house: House, **limits: int) -> ProviderView:
    command = SetLimits(workspace="default", provider="kimi", limits=limits or None)
    return await house.ask("limits", command, ProviderView)


async def breakers(house: House) -> int:
    return sum(len(account.breakers) for account in (await kimi(house)).accounts)


async def suspect(house: House) -> None:
    """key_vault doubts the key, and asks about it."""
    fact = of_key(KeySuspected, "k1", reason="refused", next_step="wait")
    await house.vault.state(fact, "k1")
    await house.knows("SELECT 1 FROM keys WHERE state = 'suspect'")


async def verified(house: House) -> None:
    fact = of_key(KeyVerified, "k1", models=2)
    await house.vault.state(fact, "k1")


async def passes(house: House, seconds: float) -> None:
    await house.later(timedelta(seconds=seconds))
