"""A persona: it comes into the library, is revised version by version, and may be put away.

A persona's id follows from its workspace and slug, so a slug names one persona for ever, and two
replicas that seed the same one at once meet in the same stream, where only one can be first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Literal, assert_never
from uuid import UUID, uuid5

from contracts.personas import (
    Description,
    PersonaArchived,
    PersonaCreated,
    PersonaEvent,
    PersonaRevised,
)

_NAMES = UUID("b9a4c1de-6d7f-5d0a-9a33-6f1c5b0e7a42")
"""Namespace of persona ids (RFC 9562 §5.5). Changing it would make every persona a new one."""


def persona_id(workspace: str, slug: str) -> str:
    """The id, and stream, of the persona that `slug` names in `workspace`."""
    return str(uuid5(_NAMES, f"{workspace}/{slug}"))


# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seed:
    """Have this built-in persona in the workspace as this version of Parley describes it."""

    workspace: str
    slug: str
    description: Description


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    workspace: str
    slug: str
    description: Description
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revise:
    """Make it so from now on, and bring it back if it was put away."""

    workspace: str
    slug: str
    description: Description
    by: str
    version: int | None = None
    """The one that was changed; None: whichever is the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    workspace: str
    slug: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """It comes from elsewhere: new here, or the next version, or left as it is."""

    workspace: str
    slug: str
    description: Description
    by: str
    existing: Literal["revise", "keep"] = "revise"


Command = Seed | Create | Revise | Archive | Import

# --- State: only what a decision needs ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unknown: ...


@dataclass(frozen=True, slots=True)
class Available:
    version: int
    description: Description
    shipped: bool = False
    """It is as Parley brought it along: nobody here has made or changed it."""


@dataclass(frozen=True, slots=True)
class Archived:
    version: int


Persona = Unknown | Available | Archived

# --- Rejections -----------------------------------------------------------------------------


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class SlugTaken(Rejected):
    """Another persona is called so; revise that one, or choose another slug."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"{slug} is taken")
        self.slug = slug


class IsArchived(Rejected):
    """A persona that was put away is called so; revising it brings it back."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"{slug} was put away")
        self.slug = slug


class NoSuchPersona(Rejected):
    """Nobody was ever called so here; create it."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"there is no {slug}")
        self.slug = slug


class Outdated(Rejected):
    """Somebody else has revised it since; look at the newest version first."""

    def __init__(self, slug: str, *, newest: int) -> None:
        super().__init__(f"{slug} is at version {newest} by now")
        self.slug = slug
        self.newest = newest


# --- Decide and evolve ----------------------------------------------------------------------


def decide(  # noqa: C901, PLR0912 - one case for each command and state
    command: Command, state: Persona, *, now: datetime
) -> list[PersonaEvent]:
    match command, state:
        case Seed(), Unknown():
            return [_created(command, now, built_in=True)]
        case Seed(description=description), Available(version, present, shipped):
            if description == present or not shipped:
                return []  # what people have made of it is theirs
            return [_revised(command, version, now)]
        case Seed(), Archived():
            return []  # somebody put it away, and seeding is no reason to bring it back
        case Create() | Import(), Unknown():
            return [_created(command, now, by=command.by)]
        case Create(slug=slug), Available():
            raise SlugTaken(slug)
        case Create(slug=slug), Archived():
            raise IsArchived(slug)
        case Revise(slug=slug), Unknown():
            raise NoSuchPersona(slug)
        case Revise(slug=slug, version=known), Available(version) | Archived(version):
            if known is not None and known != version:
                raise Outdated(slug, newest=version)
            if isinstance(state, Available) and state.description == command.description:
                return []
            return [_revised(command, version, now, by=command.by)]
        case Import(existing="keep"), _:
            return []
        case Import(), Available(version, present):
            if present == command.description:
                return []
            return [_revised(command, version, now, by=command.by)]
        case Import(), Archived(version):
            return [_revised(command, version, now, by=command.by)]
        case Archive(slug=slug), Unknown():
            raise NoSuchPersona(slug)
        case Archive(), Archived():
            return []
        case Archive(workspace=workspace, slug=slug, by=by), Available():
            persona = persona_id(workspace, slug)
            return [
                PersonaArchived(
                    at=now, workspace=workspace, persona=persona, slug=slug, archived_by=by
                )
            ]


def _created(
    told: Seed | Create | Import, now: datetime, *, built_in: bool = False, by: str = ""
) -> PersonaCreated:
    return PersonaCreated(
        at=now,
        workspace=told.workspace,
        persona=persona_id(told.workspace, told.slug),
        slug=told.slug,
        name=told.description.name,
        title=told.description.title,
        prompt=told.description.prompt,
        model=told.description.model,
        color=told.description.color,
        built_in=built_in,
        created_by=by,
    )


def _revised(
    told: Seed | Revise | Import, version: int, now: datetime, *, by: str = ""
) -> PersonaRevised:
    return PersonaRevised(
        at=now,
        workspace=told.workspace,
        persona=persona_id(told.workspace, told.slug),
        slug=told.slug,
        version=version + 1,
        name=told.description.name,
        title=told.description.title,
        prompt=told.description.prompt,
        model=told.description.model,
        color=told.description.color,
        revised_by=by,
    )


def evolve(state: Persona, event: PersonaEvent) -> Persona:
    match event:
        case PersonaCreated(built_in=built_in):
            return Available(1, described(event), built_in)
        case PersonaRevised(version=version, revised_by=by):
            return Available(version, described(event), not by)
        case PersonaArchived():
            return Archived(0 if isinstance(state, Unknown) else state.version)
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
