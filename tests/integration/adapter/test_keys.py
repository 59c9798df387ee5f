"""Keys are borrowed once, and again after they were rotated."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.attempts import KeyRef
from contracts.keys import KeyRotated
from tests.adapters import WORKSPACE, House
from tests.eventually import eventually


async def test_a_key_is_borrowed_once_and_again_after_it_was_rotated(here: House) -> None:
    for _ in range(2):
        await here.answer_of(await here.ask())
    assert len(here.vault.leases) == 1
    fact = KeyRotated(
        at=datetime.now(UTC),
        workspace=WORKSPACE,
        key="k1",
        version=2,
        provider="kimi",
        endpoint=here.provider.base_url,
    )
    here.vault.version = 2
    await here.vault.state(fact, "k1")

    async def forgotten() -> bool:
        return here.keys.holds == 0

    await eventually(forgotten)
    assert (await here.error_of(await here.ask())).hint == "lease"
    await here.answer_of(await here.ask(key=KeyRef(key="k1", version=2)))
    assert [lease.version for lease in here.vault.leases] == [1, 1, 2]


async def test_a_provider_without_keys_needs_no_lease(here: House) -> None:
    here.provider.keys = {""}
    await here.answer_of(await here.ask(provider="local", key=None))
    assert here.vault.leases == []
