"""The endpoints that a workspace has beside the built-in providers: what may be done with them.

All of a workspace's are one stream, since a name may be taken once only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from types import MappingProxyType

from contracts.endpoints import CustomProvider
from contracts.keys import EndpointChanged

MOST = 100
"""Endpoints of a workspace."""

# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    endpoint: CustomProvider
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    endpoint: CustomProvider
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    name: str
    by: str = ""


Command = Add | Change | Remove

# --- State ----------------------------------------------------------------------------------


def _none() -> Mapping[str, CustomProvider]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Endpoints:
    workspace: str
    rows: Mapping[str, CustomProvider] = field(default_factory=_none)


# --- Rejections -----------------------------------------------------------------------------


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyThere(Rejected):
    """The workspace has an endpoint of this name."""

    def __init__(self, name: str, base_url: str) -> None:
        super().__init__(f"{name} is {base_url}")
        self.name = name
        self.base_url = base_url


class NoSuchEndpoint(Rejected):
    """The workspace has no endpoint of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no endpoint {name}")
        self.name = name


class TooMany(Rejected):
    """The workspace has as many as it may."""

    def __init__(self) -> None:
        super().__init__(f"there are {MOST} already")


# --- Decide and evolve ----------------------------------------------------------------------


def decide(command: Command, state: Endpoints, *, now: datetime) -> Sequence[EndpointChanged]:
    match command:
        case Add(endpoint=wanted, by=by):
            if (there := state.rows.get(wanted.name)) is not None:
                raise AlreadyThere(wanted.name, there.base_url)
            if len(state.rows) >= MOST:
                raise TooMany
            return [_told(state, wanted, by, now)]
        case Change(endpoint=wanted, by=by):
            return [] if _find(state, wanted.name) == wanted else [_told(state, wanted, by, now)]
        case Remove(name=name, by=by):
            former = _find(state, name)
            return [
                EndpointChanged(
                    at=now,
                    workspace=state.workspace,
                    provider=name,
                    endpoint=former.base_url,
                    removed=True,
                    changed_by=by,
                )
            ]


def _told(state: Endpoints, row: CustomProvider, by: str, now: datetime) -> EndpointChanged:
    return EndpointChanged(
        at=now,
        workspace=state.workspace,
        provider=row.name,
        endpoint=row.base_url,
        row=row,
        changed_by=by,
    )


def _find(state: Endpoints, name: str) -> CustomProvider:
    if (found := state.rows.get(name)) is None:
        raise NoSuchEndpoint(name)
    return found


def evolve(state: Endpoints, event: EndpointChanged) -> Endpoints:
    rows = {**state.rows}
    if event.removed:
        rows.pop(event.provider, None)
    else:
        rows[event.provider] = row_in(event)
    return Endpoints(state.workspace, MappingProxyType(rows))


def row_in(event: EndpointChanged) -> CustomProvider:
    """What the event tells of the endpoint; its first form told the address only."""
    return event.row or CustomProvider(name=event.provider, base_url=event.endpoint)


def replay(state: Endpoints, events: Sequence[EndpointChanged]) -> Endpoints:
    return reduce(evolve, events, state)
