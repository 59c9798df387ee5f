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

from contracts.failures import Balance, Evidence
from contracts.keys import (
    KeyAccountSeen,
    KeyActivated,
    KeyAdded,
    KeyDisabled,
    KeyEnabled,
    KeyNotRotated,
    KeyNotVerified,
    KeyProven,
    KeyQuarantined,
    KeyRemoved,
    KeyRevoked,
    KeyRotated,
    KeySuspected,
    KeyVerified,
)

Staying = (
    KeyAdded
    | KeyVerified
    | KeyNotVerified
    | KeyActivated
    | KeyAccountSeen
    | KeyProven
    | KeyRotated
    | KeyNotRotated
    | KeySuspected
    | KeyQuarantined
    | KeyDisabled
    | KeyEnabled
    | KeyRevoked
)
"""After these the key is still in the ring."""

RingEvent = Staying | KeyRemoved

# --- What was found out about a key ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it."""

    models: int = 0
    balance: Balance | None = None


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
    pool: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognise:
    """The provider has named the account of this version of the key."""

    key: str
    version: int
    account: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """A new secret was tried; `version` is the one it becomes if the provider took it."""

    key: str
    version: int
    fingerprint: str
    verdict: Verdict
    endpoint: str = ""
    """Where it was tried, and what it is bound to from now on; empty: where the key is bound to."""
    account: str = ""
    """Whose it is, if the provider said so; taken for the former one's until it does."""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """The provider is at another address than the one that this key is for, or gone."""

    key: str
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disable:
    key: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enable:
    key: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    key: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Away with what is of no more use: refused, replaced and revoked keys."""

    by: str = ""


Command = Add | Recognise | Judge | Report | Rotate | Strand | Disable | Enable | Revoke | Prune

# --- State: only what a decision needs ------------------------------------------------------


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


class NotAsItIs(Rejected):
    """That cannot be done with a key in this state."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"it is {type(key).__name__.lower()}")
        self.key = key.record.key
        self.state = type(key)


class Overtaken(Rejected):
    """A later secret was faster: the key has a newer version already."""

    def __init__(self, version: int) -> None:
        super().__init__(f"it is at version {version} already")
        self.version = version


# --- Decide ---------------------------------------------------------------------------------


def decide(command: Command, ring: KeyRing, *, now: datetime) -> Sequence[RingEvent]:
    match command:
        case Add():
            return [_added(command, ring, now)]
        case Recognise(key=name, version=version, account=account):
            key = _find(ring, name)
            if key.record.version != version or key.record.account == account:
                return []
            return [KeyAccountSeen(**_about(ring, key.record, now), account=account)]
        case Judge(key=name, version=version, verdict=verdict):
            key = _find(ring, name)
            return _judge(ring, key, verdict, now) if key.record.version == version else []
        case Report(key=name, version=version):
            key = _find(ring, name)
            # What was said of an earlier version says nothing of this one.
            return _report(ring, key, command, now) if key.record.version == version else []
        case Rotate(key=name):
            return _rotate(ring, _find(ring, name), command, now)
        case Strand(key=name):
            return _strand(ring, _find(ring, name), command, now)
        case Disable(key=name, by=by):
            return _disable(ring, _find(ring, name), by, now)
        case Enable(key=name, by=by):
            return _enable(ring, _find(ring, name), by, now)
        case Revoke(key=name, by=by):
            return _revoke(ring, _find(ring, name), by, now)
        case Prune(by=by):
            return [event for key in ring.keys.values() for event in _prune(ring, key, by, now)]


def _added(command: Add, ring: KeyRing, now: datetime) -> KeyAdded:
    _refuse_double(ring, command.fingerprint, command.endpoint)
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
        pool=command.pool,
    )


def _judge(ring: KeyRing, key: Key, verdict: Verdict, now: datetime) -> Sequence[RingEvent]:
    about = _about(ring, key.record, now)
    match key, verdict:
        case Active(), Accepted(models, balance):
            return [KeyVerified(**about, models=models, balance=balance)]
        case ((Pending() | Suspect() | Quarantined()), Accepted(models, balance)):
            return [
                KeyVerified(**about, models=models, balance=balance),
                # Before the others go, so that there is no moment without an active key.
                KeyActivated(**about, account=key.record.account),
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


def _rotate(ring: KeyRing, key: Key, wish: Rotate, now: datetime) -> Sequence[RingEvent]:
    if isinstance(key, Disabled | Revoked):
        raise NotAsItIs(key)
    record = key.record
    if wish.version <= record.version:
        raise Overtaken(record.version)
    about: dict[str, Any] = {**_about(ring, record, now), "version": wish.version}
    moved = wish.endpoint not in {"", record.endpoint}
    # At another address it is another account, the key's own until the provider names it.
    account = wish.account or (record.key if moved else record.account)
    match wish.verdict:
        case Accepted(models):
            about["endpoint"] = wish.endpoint or record.endpoint
            _refuse_double(ring, wish.fingerprint, about["endpoint"], but=record.key)
            return [
                KeyVerified(**about, models=models),
                KeyActivated(**about, account=account),
                KeyRotated(
                    **about, fingerprint=wish.fingerprint, account=account, rotated_by=wish.by
                ),
                *_replaced(ring, record, now),
            ]
        case Denied(reason, next_step, evidence) | NoAnswer(reason, next_step, evidence):
            return [
                KeyNotRotated(
                    **about,
                    reason=reason,
                    next_step=next_step,
                    evidence=evidence,
                    rotated_by=wish.by,
                )
            ]


def _strand(ring: KeyRing, key: Key, wish: Strand, now: datetime) -> Sequence[RingEvent]:
    match key:
        case Quarantined(reason=former) if former == wish.reason:
            return []
        case Pending() | Active() | Suspect() | Quarantined():
            about = _about(ring, key.record, now)
            return [KeyQuarantined(**about, reason=wish.reason, next_step=wish.next_step)]
        case Disabled() | Revoked():
            return []  # out of use already, and not enabled again while it is for another address


def _disable(ring: KeyRing, key: Key, by: str, now: datetime) -> Sequence[RingEvent]:
    about = _about(ring, key.record, now)
    match key:
        case Pending() | Active() | Suspect() | Quarantined():
            return [KeyDisabled(**about, cause="by hand", disabled_by=by)]
        case Disabled():
            return []
        case Revoked():
            raise NotAsItIs(key)


def _enable(ring: KeyRing, key: Key, by: str, now: datetime) -> Sequence[RingEvent]:
    match key:
        case Disabled():
            return [KeyEnabled(**_about(ring, key.record, now), enabled_by=by)]
        case Pending() | Active() | Suspect() | Quarantined():
            return []
        case Revoked():
            raise NotAsItIs(key)


def _revoke(ring: KeyRing, key: Key, by: str, now: datetime) -> Sequence[RingEvent]:
    if isinstance(key, Revoked):
        return []
    return [KeyRevoked(**_about(ring, key.record, now), revoked_by=by)]


def _prune(ring: KeyRing, key: Key, by: str, now: datetime) -> Sequence[RingEvent]:
    removed = KeyRemoved(**_about(ring, key.record, now), removed_by=by)
    match key:
        case Revoked():
            return [removed]
        case Quarantined():
            return [*_revoke(ring, key, by, now), removed]
        case Disabled(replaced_by=newer) if newer:
            return [*_revoke(ring, key, by, now), removed]
        case Pending() | Active() | Suspect() | Disabled():
            return []


def _refuse_double(ring: KeyRing, fingerprint: str, endpoint: str, *, but: str = "") -> None:
    """No secret is in the ring twice: two names for one key would hide which one is meant."""
    for key in ring.keys.values():
        record = key.record
        same = (record.fingerprint, record.endpoint) == (fingerprint, endpoint)
        if same and record.key != but and not isinstance(key, Revoked):
            raise AlreadyHere(record.key)


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
    keys = {**ring.keys}
    if isinstance(event, KeyRemoved):
        del keys[event.key]
    else:
        keys[event.key] = _next(ring, event)
    return replace(ring, keys=MappingProxyType(keys))


def _next(ring: KeyRing, event: Staying) -> Key:  # noqa: C901, PLR0912 - one case for each fact
    if isinstance(event, KeyAdded):
        return Pending(
            Record(
                key=event.key,
                version=event.version,
                endpoint=event.endpoint,
                fingerprint=event.fingerprint,
                account=event.key,
                keep_others=event.keep_others or event.pool,
            )
        )
    key = ring.keys[event.key]
    record = key.record
    match event:
        case KeyVerified() | KeyNotRotated():
            return key
        case KeyNotVerified(reason=reason):
            return Pending(record, reason) if isinstance(key, Pending) else key
        case KeyActivated(account=account):
            return Active(replace(record, used=True, account=account or record.account))
        case KeyAccountSeen(account=account):
            return replace(key, record=replace(record, account=account))
        case KeyProven():
            return replace(key, record=replace(record, proven=True))
        case KeyRotated(version=version, fingerprint=fingerprint, endpoint=endpoint):
            return Active(
                replace(
                    record,
                    version=version,
                    fingerprint=fingerprint,
                    endpoint=endpoint,
                    used=True,
                    proven=False,
                )
            )
        case KeySuspected():
            return Suspect(record)
        case KeyQuarantined(reason=reason):
            return Quarantined(record, reason)
        case KeyDisabled(replaced_by=newer):
            return Disabled(record, newer)
        case KeyEnabled():
            return Pending(record)
        case KeyRevoked():
            return Revoked(record)
        case _:
            assert_never(event)


def replay(ring: KeyRing, events: Sequence[RingEvent]) -> KeyRing:
    return reduce(evolve, events, ring)
