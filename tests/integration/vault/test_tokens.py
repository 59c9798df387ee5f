"""Access tokens: the first owner's, and those that people issue and revoke."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.failures import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from contracts.keys import (
    Done,
    Identity,
    Introspect,
    IssueToken,
    ListTokens,
    RevokeToken,
    Role,
    TokenList,
    TokenView,
)
from services.key_vault import tokens
from shared.database import transaction
from tests.strongroom import World


async def test_the_first_start_leaves_one_owner(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner-token"
    await asyncio.gather(*(tokens.ensure_owner(world.store, file) for _ in range(3)))
    token = file.read_text().strip()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token.startswith("parley_")
    assert len(token) == len("parley_") + 43
    who = await world.ask(
        world.edge, "introspect", Introspect(token_hash=tokens.hash_of(token)), Identity
    )
    assert (who.workspace, who.role) == ("default", Role.OWNER)
    assert await world.store.pool.fetchval("SELECT count(*) FROM tokens") == 1


async def test_an_operators_own_token_is_taken(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner-token"
    file.write_text("a-token-that-the-operator-chose\n")
    await tokens.ensure_owner(world.store, file)
    chosen = tokens.hash_of("a-token-that-the-operator-chose")
    assert (await tokens.introspect(world.store, chosen)).role is Role.OWNER


async def test_a_file_without_a_usable_token_stops_the_start(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner-token"
    file.write_text("short\n")
    with pytest.raises(tokens.UnusableTokenFile, match="Remove it"):
        await tokens.ensure_owner(world.store, file)


async def test_a_token_that_is_unknown_or_over_lets_nobody_in(world: World) -> None:
    with pytest.raises(Unauthenticated):
        await world.ask(world.edge, "introspect", Introspect(token_hash=b"x" * 32), Identity)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with transaction(world.store.pool) as conn:
        grant = tokens.Grant("default", Role.MEMBER, expires_at=yesterday)
        await tokens.issue(world.store, conn, "old-token", grant)
    with pytest.raises(Unauthenticated) as refused:
        await tokens.introspect(world.store, tokens.hash_of("old-token"))
    assert refused.value.problem.type == "token-expired"


async def test_tokens_are_issued_listed_and_revoked(world: World, tmp_path: Path) -> None:
    await tokens.ensure_owner(world.store, tmp_path / "owner-token")
    owner = (await listed(world))[0]
    assert (owner.role, owner.state) == (Role.OWNER, "valid")

    member = await issue(world, "member-token", Role.MEMBER, label="Ada")
    assert (member.state, member.label, member.issued_by) == ("valid", "Ada", "me")
    hashed = Introspect(token_hash=tokens.hash_of("member-token"))
    who = await world.ask(world.edge, "introspect", hashed, Identity)
    assert (who.token, who.role) == (member.id, Role.MEMBER)

    await revoke(world, member.id)
    await revoke(world, member.id)
    with pytest.raises(Unauthenticated):
        await world.ask(world.edge, "introspect", hashed, Identity)
    assert [token.state for token in await listed(world)] == ["revoked", "valid"]
    with pytest.raises(NotFound):
        await revoke(world, "t7")


async def test_nobody_grants_or_takes_more_than_what_is_theirs(
    world: World, tmp_path: Path
) -> None:
    await tokens.ensure_owner(world.store, tmp_path / "owner-token")
    owner = (await listed(world))[0]
    with pytest.raises(Forbidden):
        await issue(world, "a", Role.OWNER, by_role=Role.ADMIN)
    with pytest.raises(Forbidden):
        await issue(world, "a", Role.VIEWER, by_role=Role.MEMBER)
    with pytest.raises(Forbidden):
        await revoke(world, owner.id, by_role=Role.ADMIN)
    with pytest.raises(Conflict) as refused:
        await revoke(world, owner.id)
    assert refused.value.problem.type == "last-owner"
    with pytest.raises(Invalid):
        await issue(world, "a", Role.VIEWER, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await issue(world, "second", Role.OWNER)
    await revoke(world, owner.id)


async def issue(world: World, token: str, role: Role, **more: Any) -> TokenView:
    wish: dict[str, Any] = {"workspace": "default", "by": "me", "by_role": Role.OWNER, **more}
    command = IssueToken(token_hash=tokens.hash_of(token), role=role, **wish)
    return await world.ask(world.edge, "issue_token", command, TokenView)


async def revoke(world: World, token: str, by_role: Role = Role.OWNER) -> None:
    wish = RevokeToken(workspace="default", token=token, by="me", by_role=by_role)
    await world.ask(world.edge, "revoke_token", wish, Done)


async def listed(world: World) -> list[TokenView]:
    wish = ListTokens(workspace="default")
    return (await world.ask(world.edge, "list_tokens", wish, TokenList)).items
