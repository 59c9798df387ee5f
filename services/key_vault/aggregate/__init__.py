"""The keys that a workspace has for one provider: which may be used, and what became of the others.

All keys of one provider live in one ring, since they decide about each other: a key that turns out
good replaces the ones before it, and a bad one never takes a good one's place.

Pure: time and ids come in as arguments.
"""

from __future__ import annotations

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
from services.key_vault.aggregate.decision import (
    decide,
)
from services.key_vault.aggregate.evolution import (
    RingEvent,
    evolve,
    replay,
)
from services.key_vault.aggregate.rejections import (
    AlreadyHere,
    NoSuchKey,
    NotAsItIs,
    Overtaken,
    Rejected,
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
from services.key_vault.aggregate.verdicts import (
    Accepted,
    Denied,
    NoAnswer,
    Verdict,
)

__all__ = [
    "Accepted",
    "Active",
    "Add",
    "AlreadyHere",
    "Command",
    "Denied",
    "Disable",
    "Disabled",
    "Enable",
    "Judge",
    "Key",
    "KeyRing",
    "NoAnswer",
    "NoSuchKey",
    "NotAsItIs",
    "Overtaken",
    "Pending",
    "Prune",
    "Quarantined",
    "Recognise",
    "Record",
    "Rejected",
    "Report",
    "Revoke",
    "Revoked",
    "RingEvent",
    "Rotate",
    "Strand",
    "Suspect",
    "Verdict",
    "decide",
    "evolve",
    "replay",
]
