"""Which personas come with Parley, and what seeding them does and leaves alone."""

from __future__ import annotations

from dataclasses import replace as replaced
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.ids import is_id
from contracts.personas import (
    Description,
    PersonaArchived,
    PersonaCreated,
    PersonaEvent,
    PersonaRevised,
    is_slug,
    slug_of,
)
from services.persona import aggregate
from services.persona.aggregate import (
    Archive,
    Command,
    Create,
    Import,
    IsArchived,
    NoSuchPersona,
    Outdated,
    Persona,
    Revise,
    Seed,
    SlugTaken,
    Unknown,
    persona_id,
)
from services.persona.library import BuiltIn, UnreadablePersona, built_ins, read
from tests.spec import Specification

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADA = persona_id("default", "ada-lovelace")


def decide(command: Command, state: Persona) -> list[PersonaEvent]:
    return aggregate.decide(command, state, now=NOON)


START: Persona = Unknown()
persona = Specification(decide, aggregate.evolve, START)

mathematician = Description(name="Ada Lovelace", title="Mathematician", prompt="Count.")
poet = replace(mathematician, title="Poet", prompt="Count in verse.", color="#123456")
seed = Seed("default", "ada-lovelace", mathematician)
seed_as_poet = Seed("default", "ada-lovelace", poet)

created = PersonaCreated(
    at=NOON,
    workspace="default",
    persona=ADA,
    slug="ada-lovelace",
    name="Ada Lovelace",
    title="Mathematician",
    prompt="Count.",
    built_in=True,
)
revised = PersonaRevised(
    at=NOON,
    workspace="default",
    persona=ADA,
    slug="ada-lovelace",
    version=2,
    name="Ada Lovelace",
    title="Poet",
    prompt="Count in verse.",
    color="#123456",
)
archived = PersonaArchived(at=NOON, workspace="default", persona=ADA, slug="ada-lovelace")

HERE: dict[str, Any] = {"workspace": "default", "slug": "ada-lovelace", "by": "mary"}
create = Create(**HERE, description=mathematician)
revise = Revise(**HERE, description=poet)
archive = Archive(**HERE)
made_here = replace(created, built_in=False, created_by="mary")
revised_here = replace(revised, revised_by="mary")
archived_here = replace(archived, archived_by="mary")


def test_seeding_brings_a_persona_in() -> None:
    persona.given().when(seed).then(created)


def test_seeding_the_same_again_changes_nothing() -> None:
    persona.given(created).when(seed).then_nothing()


def test_a_changed_built_in_becomes_the_next_version() -> None:
    persona.given(created).when(seed_as_poet).then(revised)


def test_versions_count_on() -> None:
    persona.given(created, revised).when(seed).then(
        replace(revised, version=3, title="Mathematician", prompt="Count.", color="")
    )


def test_a_persona_that_was_put_away_stays_away() -> None:
    persona.given(created, archived).when(seed_as_poet).then_nothing()


def test_what_people_have_made_of_a_built_in_stays_theirs() -> None:
    persona.given(created, revised_here).when(seed).then_nothing()
    persona.given(made_here).when(seed_as_poet).then_nothing()


def test_a_persona_is_created_once() -> None:
    persona.given().when(create).then(made_here)
    persona.given(made_here).when(create).then_rejected(SlugTaken, slug="ada-lovelace")


def test_a_revision_is_the_next_version_and_the_same_again_is_none() -> None:
    persona.given(made_here).when(revise).then(revised_here)
    persona.given(made_here, revised_here).when(revise).then_nothing()
    persona.given().when(revise).then_rejected(NoSuchPersona, slug="ada-lovelace")


def test_a_change_of_an_older_version_than_the_newest_is_refused() -> None:
    persona.given(made_here).when(replaced(revise, version=1)).then(revised_here)
    late = replaced(revise, version=1, description=mathematician)
    persona.given(made_here, revised_here).when(late).then_rejected(Outdated, newest=2)


def test_a_persona_is_put_away_once_and_a_revision_brings_it_back() -> None:
    persona.given(made_here).when(archive).then(archived_here)
    persona.given(made_here, archived_here).when(archive).then_nothing()
    persona.given().when(archive).then_rejected(NoSuchPersona)
    persona.given(made_here, archived_here).when(create).then_rejected(IsArchived)
    persona.given(made_here, archived_here).when(revise).then(revised_here)


def test_an_import_creates_revises_or_keeps() -> None:
    taken_in = Import(**HERE, description=poet)
    kept = Import(**HERE, description=poet, existing="keep")

    persona.given().when(Import(**HERE, description=mathematician)).then(made_here)
    persona.given(made_here).when(taken_in).then(revised_here)
    persona.given(made_here, revised_here).when(taken_in).then_nothing()
    persona.given(made_here, archived_here).when(taken_in).then(revised_here)
    persona.given(made_here).when(kept).then_nothing()
    persona.given(made_here, archived_here).when(kept).then_nothing()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Ada Lovelace", "ada-lovelace"),
        ("  Zoë  O'Neil, PhD ", "zoe-o-neil-phd"),
        ("7 of 9", "7-of-9"),
        ("李明", ""),
        ("x" * 99, "x" * 64),
    ],
)
def test_a_name_suggests_a_slug(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("slug", ["", "Ada", "-ada", "ada-", "a.b", "a b", "x" * 65, "export"])
def test_what_cannot_stand_in_an_address_is_no_slug(slug: str) -> None:
    assert not is_slug(slug)


def test_a_slug_names_one_persona_of_one_workspace() -> None:
    assert persona_id("default", "ada-lovelace") == ADA
    assert persona_id("other", "ada-lovelace") != ADA
    assert is_id(ADA)


def test_an_id_stays_the_same_for_ever() -> None:
    assert persona_id("default", "riley-engstrom") == "d0c5e655-65b4-5c74-875b-ac10b9069152"


def test_six_personas_come_with_parley() -> None:
    assert {built_in.slug: built_in.description.title for built_in in built_ins()} == {
        "amara-okafor": "Data analyst",
        "ines-duarte": "Critical reviewer",
        "morgan-castellano": "Marketing specialist",
        "noor-haddad": "Product manager",
        "riley-engstrom": "Social media strategist",
        "tomas-lindqvist": "Software architect",
    }


@pytest.mark.parametrize("built_in", built_ins(), ids=lambda built_in: built_in.slug)
def test_a_built_in_prompt_is_worth_using(built_in: BuiltIn) -> None:
    description = built_in.description
    assert 150 <= len(description.prompt.split()) <= 300
    assert description.prompt.startswith(f"You are {description.name}")
    assert built_in.slug == "-".join(description.name.lower().split())


def test_colours_can_be_seen_on_light_and_on_dark() -> None:
    for built_in in built_ins():
        shade = luminance(built_in.description.color)
        # WCAG 2.2, 1.4.11: three to one for what is not text, here on white and on the dark page.
        assert 1.05 / (shade + 0.05) >= 3
        assert (shade + 0.05) / (luminance("#16181d") + 0.05) >= 3


def test_every_persona_has_a_colour_of_its_own() -> None:
    colours = [built_in.description.color for built_in in built_ins()]
    assert len(set(colours)) == len(colours)


def luminance(color: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You are nobody.",
        "---\nname: Ada\n",
        "---\nname: Ada\nslug: ada\ntitle: Mathematician\n---\n \n",
        "---\nname: Ada\ntitle: Mathematician\n---\nCount.\n",
        "---\nname Ada\n---\nCount.\n",
    ],
)
def test_a_file_that_says_too_little_is_refused(text: str) -> None:
    with pytest.raises(UnreadablePersona, match=r"ada\.md"):
        read("ada.md", text)
