"""What each fact makes of a ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import assert_never

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
    KeyStays,
    KeySuspected,
    KeyVerified,
)
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

RingEvent = KeyStays | KeyRemoved


def evolve(ring: KeyRing, event: RingEvent) -> KeyRing:
    keys = {**ring.keys}
    if isinstance(event, KeyRemoved):
        del keys[event.key]
    else:
        keys[event.key] = _next(ring, event)
    return replace(ring, keys=MappingProxyType(keys))


def _next(ring: KeyRing, event: KeyStays) -> Key:  # noqa: C901, PLR0912 - one case for each fact
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
