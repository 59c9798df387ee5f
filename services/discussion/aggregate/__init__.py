"""What may happen in a discussion: who speaks, what an attempt's end means, when it is over.

Pure: time, dice and ids come in as arguments. `decision` reads a command in a state, `evolution`
says what each fact makes of the state, and the other files are what they ask.
"""

from __future__ import annotations

from services.discussion.aggregate.commands import (
    Cancel,
    Command,
    Conclude,
    CutAttempt,
    Delete,
    Hear,
    Heard,
    HoldBack,
    LosePatience,
    Open,
    ParkTurn,
    Pick,
    Refuse,
    Rename,
    Retry,
    Say,
    StartAttempt,
)
from services.discussion.aggregate.course import NewId, table
from services.discussion.aggregate.decision import decide
from services.discussion.aggregate.evolution import evolve, replay
from services.discussion.aggregate.rejections import (
    AlreadyOpened,
    CannotSay,
    NoSuchTurn,
    NotDue,
    NothingToPick,
    NothingToRetry,
    Rejected,
)
from services.discussion.aggregate.states import (
    Deleted,
    Discussion,
    Due,
    Ended,
    Going,
    NotOpened,
    Over,
    Parked,
    Phase,
    Running,
    Turn,
)

__all__ = [
    "AlreadyOpened",
    "Cancel",
    "CannotSay",
    "Command",
    "Conclude",
    "CutAttempt",
    "Delete",
    "Deleted",
    "Discussion",
    "Due",
    "Ended",
    "Going",
    "Hear",
    "Heard",
    "HoldBack",
    "LosePatience",
    "NewId",
    "NoSuchTurn",
    "NotDue",
    "NotOpened",
    "NothingToPick",
    "NothingToRetry",
    "Open",
    "Over",
    "ParkTurn",
    "Parked",
    "Phase",
    "Pick",
    "Refuse",
    "Rejected",
    "Rename",
    "Retry",
    "Running",
    "Say",
    "StartAttempt",
    "Turn",
    "decide",
    "evolve",
    "replay",
    "table",
]
