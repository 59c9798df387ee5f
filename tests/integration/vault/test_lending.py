"""Keys go out on loan: to this recipient, for this request, and written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.failures import Conflict, Forbidden, Internal, Invalid, NotFound
from contracts.keys import DescribeVault, VaultIdentity
from shared.database import Pool
from shared.sealing import BadSignature, CannotOpen, RecipientKey, lease_info, verify
from tests.strongroom import HERE, OTHER, REFUSED, SECRET, World


async def test_a_loan_opens_for_its_recipient_and_its_request_only(world: World) -> None:
    key = await world.add()
    me = RecipientKey.generate()
    lease = await world.lease(key, me)
    vault = await world.ask(world.adapter, "identity", DescribeVault(), VaultIdentity)
    info = lease_info(
        workspace="default", request="attempt-1", key=key.id, version=1, endpoint=HERE
    )
    another = lease_info(
        workspace="default", request="attempt-2", key=key.id, version=1, endpoint=HERE
    )

    verify(vault.signing_key, lease.signature, lease.sealed, info)
    assert me.open(lease.sealed, info) == SECRET.encode()
    assert datetime.now(UTC) < lease.expires_at <= datetime.now(UTC) + timedelta(minutes=5)
    with pytest.raises(CannotOpen):
        RecipientKey.generate().open(lease.sealed, info)
    with pytest.raises(CannotOpen):
        me.open(lease.sealed, another)
    with pytest.raises(BadSignature):
        verify(vault.signing_key, lease.signature, lease.sealed, another)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"endpoint": "https://evil.example/v1"}, Forbidden),
        ({"version": 2}, Conflict),
        ({"workspace": "other"}, NotFound),
        ({"key": "k7"}, NotFound),
        ({"recipient": b"short"}, Invalid),
    ],
)
async def test_a_loan_is_for_exactly_this_key(
    world: World, change: dict[str, Any], refusal: type[Exception]
) -> None:
    key = await world.add()
    with pytest.raises(refusal):
        await world.lease(key, RecipientKey.generate(), **change)


async def test_a_key_that_is_not_trusted_is_lent_for_probes_only(world: World) -> None:
    world.says = REFUSED
    key = await world.add()
    me = RecipientKey.generate()
    with pytest.raises(Conflict) as refused:
        await world.lease(key, me)
    assert refused.value.problem.type == "key-quarantined"
    assert refused.value.problem.next_step
    assert await world.lease(key, me, "probe")


async def test_a_replaced_key_is_lent_to_nobody(world: World) -> None:
    former = await world.add()
    await world.add(OTHER)
    for purpose in ("attempt", "probe"):
        with pytest.raises(Conflict):
            await world.lease(former, RecipientKey.generate(), purpose)


async def test_every_loan_is_written_down_or_there_is_none(world: World, pool: Pool) -> None:
    key = await world.add()
    await world.lease(key, RecipientKey.generate())
    rows = await pool.fetch("SELECT key, version, endpoint, request, purpose FROM leases")
    assert [tuple(row.values()) for row in rows] == [(key.id, 1, HERE, "attempt-1", "attempt")]

    await pool.execute("ALTER TABLE leases RENAME TO gone")
    with pytest.raises(Internal):
        await world.lease(key, RecipientKey.generate())


async def test_a_secret_moved_to_another_key_is_not_lent(world: World, pool: Pool) -> None:
    mine = await world.add(workspace="mine", request="m")
    other = await world.add(OTHER, workspace="other", request="o")
    await pool.execute(
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE key = $1) WHERE key = $2",
        other.id,
        mine.id,
    )
    with pytest.raises(Internal):
        await world.lease(mine, RecipientKey.generate(), workspace="mine")
