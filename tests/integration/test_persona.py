"""Personas on a real database: seeded once whoever seeds, found by slug, told to the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest
import pytest_asyncio

from contracts.event import Event
from contracts.failures import NotFound
from contracts.personas import PERSONA_EVENTS, GetPersona, GetPersonas, SeedPersonas
from services.persona import library
from services.persona.inbox import Inbox
from services.persona.store import SCHEMAS, Store
from shared.database import Pool
from shared.journal import Journal, Recorded
from tests.databases import Database

SEED = SeedPersonas(workspace="default")
EVERYONE = GetPersonas(workspace="default")
RILEY = GetPersona(workspace="default", slug="riley-engstrom")


@pytest_asyncio.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("persona", SCHEMAS[1:])


@pytest.fixture
def open_inbox(pool: Pool) -> Callable[[], Inbox]:
    """One replica's inbox."""

    def opened() -> Inbox:
        return Inbox(Store(pool, lambda: None))

    return opened


@pytest.fixture
def inbox(open_inbox: Callable[[], Inbox]) -> Inbox:
    return open_inbox()


async def journal(pool: Pool) -> list[Recorded[Event]]:
    async with pool.acquire() as conn:
        return await Journal(PERSONA_EVENTS).read_all(conn, after=0, limit=1_000)


async def test_seeding_makes_the_six(inbox: Inbox) -> None:
    personas = (await inbox.seed(SEED)).items

    assert [persona.slug for persona in personas] == [b.slug for b in library.built_ins()]
    assert all(persona.built_in and persona.version == 1 for persona in personas)
    assert (await inbox.get(RILEY)).prompt.startswith("You are Riley Engstrom")


async def test_seeding_again_changes_nothing(inbox: Inbox, pool: Pool) -> None:
    before = await inbox.seed(SEED)
    told = await journal(pool)

    assert await inbox.seed(SEED) == before
    assert await journal(pool) == told


async def test_replicas_that_start_at_once_seed_once(
    open_inbox: Callable[[], Inbox], pool: Pool
) -> None:
    lists = await asyncio.gather(*(open_inbox().seed(SEED) for _ in range(4)))

    assert all(personas == lists[0] for personas in lists)
    assert [recorded.version for recorded in await journal(pool)] == [1] * 6


async def test_a_changed_prompt_makes_the_next_version(inbox: Inbox, pool: Pool) -> None:
    await inbox.seed(SEED)
    changed = tuple(
        replace(one, description=replace(one.description, prompt="Be brief."))
        if one.slug == RILEY.slug
        else one
        for one in library.built_ins()
    )

    with patch("services.persona.inbox.built_ins", return_value=changed):
        await inbox.seed(SEED)

    riley = await inbox.get(RILEY)
    assert (riley.version, riley.prompt, riley.built_in) == (2, "Be brief.", True)
    assert len(await journal(pool)) == 7


async def test_workspaces_have_personas_of_their_own(inbox: Inbox) -> None:
    await inbox.seed(SEED)

    assert (await inbox.list(GetPersonas(workspace="other"))).items == []
    with pytest.raises(NotFound):
        await inbox.get(GetPersona(workspace="other", slug="riley-engstrom"))


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("riley", "riley-engstrom"),
        ("morgan-castelano", "morgan-castellano"),
        ("Data Analyst", "amara-okafor"),
        ("architect", "tomas-lindqvist"),
    ],
)
async def test_an_unknown_slug_is_told_its_nearest(inbox: Inbox, wanted: str, meant: str) -> None:
    await inbox.seed(SEED)

    with pytest.raises(NotFound) as refused:
        await inbox.get(GetPersona(workspace="default", slug=wanted))

    assert refused.value.problem.nearest[0] == meant


@pytest.mark.parametrize("wanted", ["", "\x00", "*", "../../etc/passwd", "riley" * 10_000, "ゐ"])
async def test_a_strange_slug_is_merely_unknown(inbox: Inbox, wanted: str) -> None:
    await inbox.seed(SEED)

    with pytest.raises(NotFound):
        await inbox.get(GetPersona(workspace="default", slug=wanted))


async def test_the_table_can_be_made_again_from_the_journal(inbox: Inbox, pool: Pool) -> None:
    before = await inbox.seed(SEED)
    store = Store(pool, lambda: None)
    await pool.execute("UPDATE personas SET name = 'nobody', archived = true")
    assert (await inbox.list(EVERYONE)).items == []

    await store.rebuild()

    assert await inbox.list(EVERYONE) == before
