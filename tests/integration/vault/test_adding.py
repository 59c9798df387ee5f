"""Keys come in sealed, are asked about once, and take no better one's place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.attempts import ProbeResult
from contracts.failures import Balance, Conflict, IdempotencyMismatch, Invalid, NotFound
from contracts.keys import (
    AddKey,
    DisableKey,
    Done,
    GetKey,
    KeyAdded,
    KeyState,
    KeyView,
    ReportKey,
    VerifyKey,
)
from contracts.supply import ProbeKey
from tests.strongroom import AWAY, GOOD, HERE, OTHER, REFUSED, SECRET, World


async def test_a_good_key_is_active_at_once(world: World) -> None:
    key = await world.add(f" {SECRET}\n", label="team", by="owner")

    assert key.state is KeyState.ACTIVE
    assert key.endpoint == HERE
    assert key.region == "ai"
    assert key.label == "team"
    assert key.reason == "Spaces around it were removed."
    assert world.asked == [
        ProbeKey(workspace="default", provider="kimi", endpoint=HERE, key=key.id, version=1)
    ]
    assert await world.keys() == [replace(key, reason="")]


async def test_the_operators_address_is_where_the_key_belongs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIMI_BASE_URL", "http://127.0.0.1:9/v1/")
    # There, what a key looks like is the operator's matter: it is asked about, whatever its form.
    key = await world.add("sk-kimi-" + "a1" * 32)
    assert key.state is KeyState.ACTIVE
    assert key.endpoint == "http://127.0.0.1:9/v1"


async def test_a_bad_new_key_takes_no_good_ones_place(world: World) -> None:
    good = await world.add()
    world.says = REFUSED
    bad = await world.add(OTHER)

    assert bad.state is KeyState.QUARANTINED
    assert "refused the key (401 invalid_authentication_error)" in bad.reason
    assert "“cn” (api.moonshot.cn)" in bad.next_step
    assert (await world.key(good)).state is KeyState.ACTIVE


async def test_a_good_new_key_replaces_the_former_one(world: World) -> None:
    former = await world.add()
    new = await world.add(OTHER)

    assert new.state is KeyState.ACTIVE
    assert (await world.key(former)).state is KeyState.DISABLED
    assert new.id in (await world.key(former)).reason


async def test_keys_of_one_account_are_told_apart_from_others_and_say_so(world: World) -> None:
    mine = ProbeResult(models=GOOD.models, account="hash of the one")
    world.says = mine
    first = await world.add()
    second = await world.add(OTHER, pool=True, request="r2")
    assert (second.pool, second.state) == (True, KeyState.ACTIVE)
    assert second.account == first.account
    assert second.account.startswith("acct-")
    assert "hash" not in second.account
    assert second.shares_limits_with == [first.id]
    assert [key.shares_limits_with for key in await world.keys()] == [[first.id], [second.id]]

    world.says = GOOD  # this one does not tell
    third = await world.add("sk-third-" + "t" * 30, pool=True, request="r3")
    assert third.shares_limits_with == []
    # Its first answer does; it is of another account.
    wish = ReportKey(
        workspace="default", key=third.id, version=1, accepted=None, attempt="a", account="other"
    )
    await world.ask(world.discussion, "report", wish, Done)
    assert (await world.key(third)).account not in {first.account, third.account}
    assert not (await world.key(third)).proven
    # Who goes out of use shares nothing any more.
    await world.ask(world.edge, "disable", DisableKey(workspace="default", key=first.id), KeyView)
    assert (await world.key(second)).shares_limits_with == []


async def test_a_persons_verification_tells_the_balance(world: World) -> None:
    key = await world.add()
    verify_it = VerifyKey(workspace="default", key=key.id)
    assert [question.balance for question in world.asked] == [False]
    empty = Balance(amount="0.00", currency="USD", enough=False)
    world.says = ProbeResult(models=GOOD.models, balance=empty)
    told = await world.ask(world.edge, "verify", verify_it, KeyView)
    assert world.asked[-1].balance
    assert told.state is KeyState.ACTIVE
    assert told.reason == "The account's balance is 0.00 USD."
    assert "Top up the account" in told.next_step
    assert await world.key(key) == told  # the list says so, too

    full = Balance(amount="20.00", currency="USD", enough=True)
    wish = ReportKey(
        workspace="default", key=key.id, version=1, accepted=None, attempt="", balance=full
    )
    await world.ask(world.discussion, "report", wish, Done)
    assert (await world.key(key)).reason == ""
    world.says = ProbeResult(models=GOOD.models, balance=full)
    told = await world.ask(world.edge, "verify", verify_it, KeyView)
    assert (told.reason, told.next_step) == ("The account's balance is 20.00 USD.", "")
    assert (await world.key(key)).reason == ""


async def test_a_key_of_another_product_is_not_sent_to_this_one(world: World) -> None:
    key = await world.add("sk-kimi-" + "a1" * 32)
    assert key.state is KeyState.QUARANTINED
    assert "“code”" in key.next_step
    assert world.asked == []


async def test_a_key_that_nobody_could_ask_about_is_kept_and_says_so(world: World) -> None:
    world.says = AWAY
    key = await world.add()
    assert key.state is KeyState.PENDING
    assert "502" in key.reason
    assert key.next_step

    world.says = GOOD
    again = await world.ask(
        world.edge, "verify", VerifyKey(workspace="default", key=key.id), KeyView
    )
    assert again.state is KeyState.ACTIVE
    assert again.reason == ""


async def test_the_same_key_twice_is_refused_naming_the_first(world: World) -> None:
    first = await world.add(label="team")
    with pytest.raises(Conflict) as refused:
        await world.add(f"Bearer {SECRET}")
    assert first.id in refused.value.problem.detail
    assert "team" in refused.value.problem.detail
    # Of another workspace nothing is said.
    assert (await world.add(workspace="other")).state is KeyState.ACTIVE


async def test_a_repeated_command_adds_one_key(world: World) -> None:
    keys = await asyncio.gather(*(world.add(idempotency_key="once") for _ in range(4)))
    assert len({key.id for key in keys}) == 1
    assert len(await world.keys()) == 1
    changes: list[tuple[str, dict[str, Any]]] = [
        (OTHER, {}),
        (SECRET, {"label": "another"}),
        (SECRET, {"provider": "deepseek"}),
        (SECRET, {"region": "cn"}),
        (SECRET, {"pool": True}),
    ]
    for secret, other in changes:
        with pytest.raises(IdempotencyMismatch) as refused:
            await world.add(secret, **other, idempotency_key="once")
        assert refused.value.status == 422
    assert await world.add(idempotency_key="once") == keys[0]


async def test_a_repeated_command_shows_the_key_to_nobody_again(world: World) -> None:
    world.says_at = {HERE: REFUSED}
    first = await world.add(region="auto", idempotency_key="once")
    world.asked.clear()
    again = await world.add(region="auto", idempotency_key="once")
    assert (again.id, again.state, again.endpoint) == (first.id, first.state, first.endpoint)
    assert world.asked == []


async def test_one_key_is_read_by_its_id(world: World) -> None:
    key = await world.add(label="team")
    assert await world.ask(world.edge, "get", GetKey(workspace="default", key=key.id), KeyView) == (
        await world.key(key)
    )
    with pytest.raises(NotFound):
        await world.ask(world.edge, "get", GetKey(workspace="other", key=key.id), KeyView)


async def test_of_twenty_keys_at_once_the_last_one_is_active(world: World) -> None:
    secrets = [f"sk-{number:02}-{'x' * 40}" for number in range(20)]
    await asyncio.gather(*(world.add(secret) for secret in secrets))
    assert len(await world.keys()) == 20
    # Whatever the order of the verifications, no earlier key puts out the one added last.
    async with world.store.pool.acquire() as conn:
        facts = await world.store.journal.read_all(conn, after=0, limit=1_000)
    last = [fact.event.key for fact in facts if isinstance(fact.event, KeyAdded)][-1]
    assert (await world.store.key("default", last)).state is KeyState.ACTIVE


async def test_what_is_no_key_is_refused_with_the_reason(world: World) -> None:
    for secret, provider, region in (
        ("sk-with space", "kimi", None),
        (SECRET, "kimmi", None),
        (SECRET, "local", None),
        (SECRET, "kimi", "us"),
    ):
        with pytest.raises(Invalid):
            await world.add(secret, provider=provider, region=region)
    assert await world.keys() == []


async def test_a_secret_sealed_for_another_request_is_not_opened(world: World) -> None:
    sealed = await world.sealed(SECRET)
    stolen = AddKey(
        workspace="default", request="r2", provider="kimi", sealed_secret=sealed.sealed_secret
    )
    with pytest.raises(Invalid, match="was not taken in"):
        await world.ask(world.edge, "add", stolen, KeyView)
