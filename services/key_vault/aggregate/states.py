"""What a ring is made of: only what a decision needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What stays while a key goes from state to state."""

    key: str
    version: int
    endpoint: str
    fingerprint: str
    account: str = ""
    """The account whose limits it uses; its own id as long as nobody has named it."""
    keep_others: bool = False
    used: bool = False
    """It has been active before."""
    proven: bool = False
    """This version has completed an attempt; that it could list models does not count."""


@dataclass(frozen=True, slots=True)
class Pending:
    record: Record
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Active:
    record: Record


@dataclass(frozen=True, slots=True)
class Suspect:
    record: Record


@dataclass(frozen=True, slots=True)
class Quarantined:
    record: Record
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Disabled:
    record: Record
    replaced_by: str = ""
    """The key in whose favour; empty: by hand."""


@dataclass(frozen=True, slots=True)
class Revoked:
    record: Record


Key = Pending | Active | Suspect | Quarantined | Disabled | Revoked


def _no_keys() -> Mapping[str, Key]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KeyRing:
    workspace: str
    provider: str
    keys: Mapping[str, Key] = field(default_factory=_no_keys)
    """In the order in which they were added."""
