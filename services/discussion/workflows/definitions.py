"""A workflow: it is defined, revised version by version, and may be put away.

Its id follows from its workspace and slug, so a slug names one workflow for ever, and two replicas
that seed the same one at once meet in the same log, where only one can be first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import assert_never
from uuid import UUID, uuid5

from contracts.workflow_events import (
    Definition,
    WorkflowArchived,
    WorkflowDefined,
    WorkflowEvent,
    WorkflowRevised,
)

_NAMES = UUID("5c6f6a0e-7a3c-5f56-9d0e-3b1f7f1f2a11")
"""Namespace of workflow ids (RFC 9562 §5.5). Changing it would make each of them a new one."""

GONE = Definition(slug="", title="", steps=[])


def workflow_id(workspace: str, slug: str) -> str:
    """The id, and stream, of the workflow that `slug` names in `workspace`."""
    return str(uuid5(_NAMES, f"{workspace}/{slug}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A definition as it came: what it says, and the text that says it."""

    workspace: str
    definition: Definition
    source: str
    by: str = ""


# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Define:
    written: Written


@dataclass(frozen=True, slots=True)
class Revise:
    written: Written


@dataclass(frozen=True, slots=True)
class Seed:
    """Have it as this version of Parley brings it, unless somebody here has had a hand in it."""

    written: Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    workspace: str
    by: str = ""


Command = Define | Revise | Seed | Archive

# --- State ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unknown: ...


@dataclass(frozen=True, slots=True)
class Available:
    id: str
    version: int
    source: str
    built_in: bool


@dataclass(frozen=True, slots=True)
class Archived:
    id: str
    version: int


Workflow = Unknown | Available | Archived


class AlreadyDefined(Exception):
    """The slug is taken."""


class NotDefined(Exception):
    """There is no such workflow, or it was put away."""


# --- Decide and evolve ----------------------------------------------------------------------


def decide(command: Command, state: Workflow, *, now: datetime) -> list[WorkflowEvent]:
    match command, state:
        case ((Define(written) | Seed(written)), Unknown()):
            return [
                WorkflowDefined(
                    at=now,
                    workflow=workflow_id(written.workspace, written.definition.slug),
                    workspace=written.workspace,
                    slug=written.definition.slug,
                    definition=written.definition,
                    source=written.source,
                    built_in=isinstance(command, Seed),
                    by=written.by,
                )
            ]
        case Define(written), Archived(version=version):
            return [_revised(written, version, now)]
        case Define(), Available():
            raise AlreadyDefined
        case ((Revise(written) | Seed(written)), Available()) if written.source == state.source:
            return []
        case Revise(written), Available(version=version):
            return [_revised(written, version, now)]
        case Seed(written), Available(version=version, built_in=True):
            return [_revised(written, version, now, built_in=True)]
        case Seed(), Available() | Archived():
            return []
        case Archive(), Available(id=id):
            return [
                WorkflowArchived(at=now, workflow=id, workspace=command.workspace, by=command.by)
            ]
        case ((Revise() | Archive()), _):
            raise NotDefined


def _revised(
    written: Written, version: int, now: datetime, *, built_in: bool = False
) -> WorkflowRevised:
    return WorkflowRevised(
        at=now,
        workflow=workflow_id(written.workspace, written.definition.slug),
        workspace=written.workspace,
        version=version + 1,
        definition=written.definition,
        source=written.source,
        built_in=built_in,
        by=written.by,
    )


def evolve(state: Workflow, event: WorkflowEvent) -> Workflow:
    match event:
        case WorkflowDefined(workflow=id, source=source, built_in=built_in):
            return Available(id, 1, source, built_in)
        case WorkflowRevised(workflow=id, version=version, source=source, built_in=built_in):
            return Available(id, version, source, built_in)
        case WorkflowArchived(workflow=id):
            return Archived(id, state.version if isinstance(state, Available) else 1)
        case _:
            assert_never(event)


def replay(events: Iterable[WorkflowEvent]) -> Workflow:
    start: Workflow = Unknown()
    return reduce(evolve, events, start)
