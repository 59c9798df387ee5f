"""A persona: it comes into the library, is revised version by version, and may be put away.

A persona's id follows from its workspace and slug, so a slug names one persona for ever, and two
replicas that seed the same one at once meet in the same stream, where only one can be first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import assert_never
from uuid import UUID, uuid5

from contracts.personas import PersonaArchived, PersonaCreated, PersonaEvent, PersonaRevised

_NAMES = UUID("b9a4c1de-6d7f-5d0a-9a33-6f1c5b0e7a42")
"""Namespace of persona ids (RFC 9562 §5.5). Changing it would make every persona a new one."""


def persona_id(workspace: str, slug: str) -> str:
    """The id, and stream, of the persona that `slug` names in `workspace`."""
    return str(uuid5(_NAMES, f"{workspace}/{slug}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a persona is; any change of it makes a new version."""

    name: str
    title: str
    prompt: str
    model: str = ""
    color: str = ""


# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seed:
    """Have this built-in persona in the workspace as this version of Parley describes it."""

    workspace: str
    slug: str
    description: Description


Command = Seed

# --- State: only what a decision needs ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unknown: ...


@dataclass(frozen=True, slots=True)
class Available:
    version: int
    description: Description


@dataclass(frozen=True, slots=True)
class Archived: ...


Persona = Unknown | Available | Archived

# --- Decide and evolve ----------------------------------------------------------------------


def decide(command: Command, state: Persona, *, now: datetime) -> list[PersonaEvent]:
    match command, state:
        case Seed(workspace, slug, description), Unknown():
            return [
                PersonaCreated(
                    at=now,
                    workspace=workspace,
                    persona=persona_id(workspace, slug),
                    slug=slug,
                    name=description.name,
                    title=description.title,
                    prompt=description.prompt,
                    model=description.model,
                    color=description.color,
                    built_in=True,
                )
            ]
        case Seed(workspace, slug, description), Available(version, present):
            if description == present:
                return []
            return [
                PersonaRevised(
                    at=now,
                    workspace=workspace,
                    persona=persona_id(workspace, slug),
                    slug=slug,
                    version=version + 1,
                    name=description.name,
                    title=description.title,
                    prompt=description.prompt,
                    model=description.model,
                    color=description.color,
                )
            ]
        case Seed(), Archived():
            return []  # somebody put it away, and seeding is no reason to bring it back


def evolve(_state: Persona, event: PersonaEvent) -> Persona:
    """Every event says all there is to know, so what was before does not matter."""
    match event:
        case PersonaCreated():
            return Available(1, described(event))
        case PersonaRevised(version=version):
            return Available(version, described(event))
        case PersonaArchived():
            return Archived()
        case _:
            assert_never(event)


def described(event: PersonaCreated | PersonaRevised) -> Description:
    """What the event says the persona is."""
    return Description(
        name=event.name,
        title=event.title,
        prompt=event.prompt,
        model=event.model,
        color=event.color,
    )


def replay(events: Iterable[PersonaEvent]) -> Persona:
    start: Persona = Unknown()
    return reduce(evolve, events, start)
