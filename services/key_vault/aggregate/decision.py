"""Each command in each state, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

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
from services.key_vault.aggregate.commands import (
    Add,
    Command,
    Disable,
    Enable,
    Judge,
    Prune,
    Recognise,
    Report,
    Revoke,
    Rotate,
    Strand,
)
from services.key_vault.aggregate.evolution import RingEvent
from services.key_vault.aggregate.rejections import AlreadyHere, NoSuchKey, NotAsItIs, Overtaken
from services.key_vault.aggregate.states import (
    Active,
    Disabled,
    Key,
    KeyRing,
    Pending,
    Quarantined,
    Record,
    Revoked,
    Suspect,
)
from services.key_vault.aggregate.verdicts import Accepted, Denied, NoAnswer, Verdict


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
