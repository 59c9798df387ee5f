"""The keys that a workspace has for one provider: which may be used, and what became of the others.

All keys of one provider live in one ring, since they decide about each other: a key that turns out
good replaces the ones before it, and a bad one never takes a good one's place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from types import MappingProxyType
from typing import Any, assert_never

from contracts.failures import Evidence
from contracts.keys import (
    KeyActivated,
    KeyAdded,
    KeyDisabled,
    KeyNotVerified,
    KeyProven,
    KeyQuarantined,
    KeyRevoked,
    KeyRotated,
    KeySuspected,
    KeyVerified,
)

RingEvent = (
    KeyAdded
    | KeyVerified
    | KeyNotVerified
    | KeyActivated
    | KeyProven
    | KeyRotated
    | KeySuspected
    | KeyQuarantined
    | KeyDisabled
    | KeyRevoked
)

# --- What was found out about a key ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it."""

    models: int = 0


@dataclass(frozen=True, slots=True)
class Denied:
    """The provider said in its own words that this key is not good."""

    reason: str
    next_step: str
    evidence: Evidence = Evidence()


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The provider could not be asked, or what it said is not about the key."""

    reason: str
    next_step: str
    evidence: Evidence = Evidence()


Verdict = Accepted | Denied | NoAnswer

# --- Commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    key: str
    region: str
    endpoint: str
    fingerprint: str
    label: str = ""
    by: str = ""
    keep_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A probe has asked the provider about this version of the key."""

    key: str
    version: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An attempt was made with this version of the key."""

    key: str
    version: int
    attempt: str
    verdict: Accepted | Denied


Command = Add | Judge | Report

# --- State: only what a decision needs ------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What stays while a key goes from state to state."""

    key: str
    version: int
    endpoint: str
    fingerprint: str
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


# --- Rejections -----------------------------------------------------------------------------


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyHere(Rejected):
    """The same key for the same endpoint is in the ring already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"it is here already, as {key}")
        self.key = key


class NoSuchKey(Rejected):
    """The ring has no key of this name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no key {key}")
        self.key = key


# --- Decide ---------------------------------------------------------------------------------


def decide(command: Command, ring: KeyRing, *, now: datetime) -> Sequence[RingEvent]:
    match command:
        case Add():
            return [_added(command, ring, now)]
        case Judge(key=name, version=version, verdict=verdict):
            key = _find(ring, name)
            return _judge(ring, key, verdict, now) if key.record.version == version else []
        case Report(key=name, version=version):
            key = _find(ring, name)
            # What was said of an earlier version says nothing of this one.
            return _report(ring, key, command, now) if key.record.version == version else []


def _added(command: Add, ring: KeyRing, now: datetime) -> KeyAdded:
    for key in ring.keys.values():
        record = key.record
        same = (record.fingerprint, record.endpoint) == (command.fingerprint, command.endpoint)
        if same and not isinstance(key, Revoked):
            raise AlreadyHere(record.key)
    return KeyAdded(
        at=now,
        workspace=ring.workspace,
        provider=ring.provider,
        key=command.key,
        version=1,
        endpoint=command.endpoint,
        region=command.region,
        fingerprint=command.fingerprint,
        label=command.label,
        added_by=command.by,
        keep_others=command.keep_others,
    )


def _judge(ring: KeyRing, key: Key, verdict: Verdict, now: datetime) -> Sequence[RingEvent]:
    about = _about(ring, key.record, now)
    match key, verdict:
        case Active(), Accepted(models):
            return [KeyVerified(**about, models=models)]
        case ((Pending() | Suspect() | Quarantined()), Accepted(models)):
            return [
                KeyVerified(**about, models=models),
                # Before the others go, so that there is no moment without an active key.
                KeyActivated(**about, account=key.record.key),
                *_replaced(ring, key.record, now),
            ]
        case Active(Record(proven=True)), Denied(reason, next_step, evidence):
            return [
                KeySuspected(**about, reason=reason, next_step=next_step, evidence=evidence),
            ]
        case ((Pending() | Active() | Suspect()), Denied(reason, next_step, evidence)):
            return [KeyQuarantined(**about, reason=reason, next_step=next_step, evidence=evidence)]
        case Quarantined(reason=former), Denied(reason, next_step, evidence):
            if reason == former:
                return []
            return [KeyQuarantined(**about, reason=reason, next_step=next_step, evidence=evidence)]
        case Pending(reason=former), NoAnswer(reason, next_step, evidence):
            if reason == former:
                return []
            return [KeyNotVerified(**about, reason=reason, next_step=next_step, evidence=evidence)]
        case ((Active() | Suspect() | Quarantined()), NoAnswer()):
            return []
        case ((Disabled() | Revoked()), _):
            return []  # somebody was faster; their wish stands


def _report(ring: KeyRing, key: Key, report: Report, now: datetime) -> Sequence[RingEvent]:
    about: dict[str, Any] = {**_about(ring, key.record, now), "attempt": report.attempt}
    match key, report.verdict:
        case _, Accepted():
            return [] if key.record.proven else [KeyProven(**about)]
        case Active(Record(proven=True)), Denied(reason, next_step, evidence):
            return [KeySuspected(**about, reason=reason, next_step=next_step, evidence=evidence)]
        case Active(), Denied(reason, next_step, evidence):
            return [KeyQuarantined(**about, reason=reason, next_step=next_step, evidence=evidence)]
        case ((Pending() | Suspect() | Quarantined() | Disabled() | Revoked()), Denied()):
            return []  # a late echo of what is known: nobody is given these keys any more


def _replaced(ring: KeyRing, new: Record, now: datetime) -> Sequence[KeyDisabled]:
    """The keys that a new one puts out of work: active ones that were here before it.

    Only when it becomes active for the first time: one that recovers takes nobody's place.
    """
    if new.keep_others or new.used:
        return []
    names = list(ring.keys)
    earlier = (ring.keys[name] for name in names[: names.index(new.key)])
    return [
        KeyDisabled(**_about(ring, former.record, now), cause="replaced", replaced_by=new.key)
        for former in earlier
        if isinstance(former, Active | Suspect)
    ]


def _find(ring: KeyRing, name: str) -> Key:
    if (key := ring.keys.get(name)) is None:
        raise NoSuchKey(name)
    return key


def _about(ring: KeyRing, record: Record, now: datetime) -> dict[str, Any]:
    """What every event about a key says."""
    return {
        "at": now,
        "workspace": ring.workspace,
        "provider": ring.provider,
        "key": record.key,
        "version": record.version,
        "endpoint": record.endpoint,
    }


# --- Evolve ---------------------------------------------------------------------------------


def evolve(ring: KeyRing, event: RingEvent) -> KeyRing:
    return replace(ring, keys=MappingProxyType({**ring.keys, event.key: _next(ring, event)}))


def _next(ring: KeyRing, event: RingEvent) -> Key:
    if isinstance(event, KeyAdded):
        return Pending(
            Record(
                key=event.key,
                version=event.version,
                endpoint=event.endpoint,
                fingerprint=event.fingerprint,
                keep_others=event.keep_others,
            )
        )
    key = ring.keys[event.key]
    record = key.record
    match event:
        case KeyVerified():
            return key
        case KeyNotVerified(reason=reason):
            return Pending(record, reason) if isinstance(key, Pending) else key
        case KeyActivated():
            return Active(replace(record, used=True))
        case KeyProven():
            return replace(key, record=replace(record, proven=True))
        case KeyRotated(version=version, fingerprint=fingerprint):
            return replace(
                key,
                record=replace(record, version=version, fingerprint=fingerprint, proven=False),
            )
        case KeySuspected():
            return Suspect(record)
        case KeyQuarantined(reason=reason):
            return Quarantined(record, reason)
        case KeyDisabled():
            return Disabled(record)
        case KeyRevoked():
            return Revoked(record)
        case _:
            assert_never(event)


def replay(ring: KeyRing, events: Sequence[RingEvent]) -> KeyRing:
    return reduce(evolve, events, ring)
