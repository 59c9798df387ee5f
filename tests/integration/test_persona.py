"""Personas on a real database: seeded once whoever seeds, found by slug, told to the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace as replaced
from typing import Any
from unittest.mock import patch

import pytest
import pytest_asyncio
from msgspec.structs import replace

from contracts.event import Event
from contracts.failures import Conflict, IdempotencyMismatch, Invalid, NotFound
from contracts.personas import (
    PERSONA_EVENTS,
    ArchivePersona,
    CreatePersona,
    Description,
    GetPersona,
    GetPersonas,
    ImportPersonas,
    PersonaRecord,
    RevisePersona,
    SeedPersonas,
)
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
        replaced(one, description=replace(one.description, prompt="Be brief."))
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


# --- Personas of one's own ------------------------------------------------------------------

HERE: dict[str, Any] = {"workspace": "default", "slug": "ada-lovelace", "by": "mary"}
MATHEMATICIAN = Description(name="Ada Lovelace", title="Mathematician", prompt="Count.\x00 😀")
POET = replace(MATHEMATICIAN, title="Poet", model="kimi/kimi-k2.6")
ADA = GetPersona(workspace="default", slug="ada-lovelace")
create = CreatePersona(**HERE, description=MATHEMATICIAN)
revise = RevisePersona(**HERE, description=POET)
archive = ArchivePersona(**HERE)


async def test_a_persona_lives_from_its_making_to_its_return(inbox: Inbox, pool: Pool) -> None:
    made = await inbox.create(create)
    changed = await inbox.revise(revise)
    again = await inbox.revise(revise)
    await inbox.archive(archive)
    await inbox.archive(archive)

    assert (made.version, made.prompt, made.built_in) == (1, MATHEMATICIAN.prompt, False)
    assert (changed.version, changed.title, changed.model) == (2, "Poet", "kimi/kimi-k2.6")
    assert again == changed
    with pytest.raises(NotFound) as away:
        await inbox.get(ADA)
    assert away.value.problem.type == "archived-persona"
    assert (await inbox.list(EVERYONE)).items == []
    put_away = await inbox.list(GetPersonas(workspace="default", archived=True))
    assert [one.slug for one in put_away.items] == ["ada-lovelace"]

    assert (await inbox.revise(revise)).version == 3
    assert not (await inbox.get(ADA)).archived
    assert [each.version for each in await journal(pool)] == [1, 2, 3, 4]
    before = await inbox.list(EVERYONE)
    await Store(pool, lambda: None).rebuild()
    assert await inbox.list(EVERYONE) == before


async def test_what_does_not_fit_is_refused_with_what_to_do(inbox: Inbox) -> None:
    await inbox.create(create)
    await inbox.revise(revise)
    for wish, reason in [
        (inbox.create(create), "slug-taken"),
        (inbox.create(replace(create, slug="Ada")), "bad-slug"),
        (inbox.create(replace(create, slug="export")), "bad-slug"),
        (inbox.revise(replace(revise, description=MATHEMATICIAN, version=1)), "outdated-version"),
        (inbox.revise(replace(revise, slug="bab-bage")), "unknown-persona"),
        (inbox.archive(replace(archive, slug="*")), "unknown-persona"),
    ]:
        with pytest.raises((Conflict, Invalid, NotFound)) as refused:
            await wish
        assert refused.value.problem.type == reason
        assert refused.value.problem.next_step
    await inbox.archive(archive)
    with pytest.raises(Conflict) as refused:
        await inbox.create(create)
    assert refused.value.problem.type == "archived-persona"


async def test_a_revised_built_in_is_left_alone_by_seeding(inbox: Inbox) -> None:
    await inbox.seed(SEED)
    mine = replace(revise, slug=RILEY.slug)
    await inbox.revise(mine)

    await inbox.seed(SEED)

    riley = await inbox.get(RILEY)
    assert (riley.version, riley.title, riley.built_in) == (2, "Poet", True)


async def test_of_two_that_revise_at_once_none_is_lost(
    open_inbox: Callable[[], Inbox], pool: Pool
) -> None:
    await open_inbox().create(create)
    await asyncio.gather(
        *(
            open_inbox().revise(
                replace(revise, description=replace(POET, prompt=f"Count to {at}."))
            )
            for at in range(6)
        )
    )
    assert [each.version for each in await journal(pool)] == list(range(1, 8))


async def test_the_same_wish_under_the_same_key_is_done_once(inbox: Inbox, pool: Pool) -> None:
    keyed = replace(create, idempotency_key="k", body_hmac=b"1")
    first, second = [await inbox.create(keyed) for _ in range(2)]

    assert first == second
    assert len(await journal(pool)) == 1
    with pytest.raises(IdempotencyMismatch):
        await inbox.create(replace(keyed, body_hmac=b"2"))


async def test_an_import_is_all_or_nothing_and_says_what_it_did(inbox: Inbox, pool: Pool) -> None:
    await inbox.create(create)
    ada = PersonaRecord(slug="ada-lovelace", name="Ada", title="Poet", prompt="Rhyme.")
    mary = PersonaRecord(slug="mary", name="Mary", title="Novelist", prompt="Tell.")
    both = ImportPersonas(workspace="default", personas=[ada, mary], by="mary")

    with pytest.raises(Invalid):
        await inbox.import_all(replace(both, personas=[mary, replace(ada, slug="../x")]))
    with pytest.raises(Invalid):
        await inbox.import_all(replace(both, personas=[mary, mary]))
    assert len(await journal(pool)) == 1

    kept = await inbox.import_all(replace(both, existing="keep", personas=[ada]))
    done = await inbox.import_all(both)
    again = await inbox.import_all(both)

    assert [one.outcome for one in kept.items] == ["kept"]
    assert [one.outcome for one in done.items] == ["revised", "created"]
    assert [(one.outcome, one.version) for one in again.items] == [
        ("unchanged", 2),
        ("unchanged", 1),
    ]
