"""A comparison whose names are hidden: what tells who answered is left out until somebody has
picked the best answer, of the discussion as it stands and of each of its facts.

What cannot be picked from hides nothing: where every turn has failed, all is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from contracts.discussion import DiscussionState, DiscussionView, TurnView
from contracts.discussion_events import (
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    DiscussionOpened,
    Participant,
    TurnCompleted,
    TurnFailed,
    TurnParked,
    TurnScheduled,
    TurnWaiting,
)
from contracts.event import name_of
from contracts.failures import Failure
from contracts.modes import Mode, Options, Role
from contracts.stream import Usage

HIDDEN = "hidden"

# --- As it stands -------------------------------------------------------------------------------


def blind(view: DiscussionView) -> bool:
    """Names are hidden: nobody has picked the best answer yet."""
    return (
        view.mode is Mode.COMPARE
        and view.options.blind
        and not view.picked
        and view.state is not DiscussionState.FAILED
    )


def unnamed(view: DiscussionView) -> DiscussionView:
    """The discussion without what tells who spoke: names, prices, troubles, how fast it was."""
    return replace(
        view,
        participants=[_masked(who, at) for at, who in enumerate(view.participants)],
        turns=[_unnamed(turn) for turn in view.turns],
    )


def _masked(who: Participant, at: int) -> Participant:
    if who.role is not Role.MEMBER:
        return who
    return Participant(model=HIDDEN, name=_called(at))


def _called(at: int) -> str:
    return f"Model {chr(ord('A') + at)}"


def _unnamed(turn: TurnView) -> TurnView:
    if turn.role is not Role.MEMBER:
        return turn
    return replace(
        turn,
        model=HIDDEN,
        persona="",
        name=_called(turn.participant),
        color="",
        cost=None,
        price=None,
        usage=Usage(),
        first_token_ms=None,
        duration_ms=None,
        notes=[],
        failure=None if turn.failure is None else _untold(turn.failure),
    )


def _untold(failure: Failure) -> Failure:
    """The words of a failure name the provider, and so does what it said."""
    return replace(
        failure,
        title="It has not answered",
        detail="Why would tell whose it is. Names are hidden until the best answer is picked.",
        next_step="Look at Keys and at Providers, which tell whatever is wrong there; "
        "or pick an answer, and the reason is told.",
        evidence=None,
    )


# --- Fact by fact -------------------------------------------------------------------------------

_DROPPED: Mapping[str, tuple[str, ...]] = {
    name_of(AttemptStarted): ("key", "key_version"),
    name_of(AttemptFailed): ("evidence", "hint", "usage", "cost"),
    name_of(AttemptCut): ("usage", "cost"),
    name_of(TurnCompleted): ("cost", "first_token_ms", "duration_ms", "notes"),
}
"""By fact: what need not be there."""

_PUT: Mapping[str, Mapping[str, Any]] = {
    name_of(DiscussionOpened): {"instructions": {}},
    name_of(TurnScheduled): {"persona": "", "model": HIDDEN},
    name_of(TurnParked): {"gate": HIDDEN},
    name_of(AttemptStarted): {"provider": HIDDEN, "model": HIDDEN, "endpoint": HIDDEN},
    name_of(TurnCompleted): {"model": HIDDEN, "usage": msgspec.to_builtins(Usage())},
}
"""By fact: what stands in the place of what has to be there."""

_TELLS_WHY = frozenset(map(name_of, (TurnWaiting, TurnParked, TurnFailed)))
_OPENED = name_of(DiscussionOpened)


class _Opened(msgspec.Struct):
    mode: str = ""
    options: Options = Options()
    participants: list[Participant] = []


class _Scheduled(msgspec.Struct):
    turn: str = ""
    participant: int = 0


class Veil:
    """What is hidden of one discussion's facts, as far as they are known."""

    def __init__(self) -> None:
        self._blind = False
        self._picked = False
        self._failed = False
        self._participants: list[Participant] = []
        self._open: set[str] = set()
        """Turns of those who are no members: a judge is known."""

    @property
    def down(self) -> bool:
        """Something is hidden just now."""
        return self._blind and not self._picked and not self._failed

    def hear(self, name: str, data: bytes) -> bool:
        """Take in the next fact; whether what is hidden is not what it was."""
        before = self.down
        match name:
            case "DiscussionOpened":
                opened = msgspec.json.decode(data, type=_Opened)
                self._blind = opened.mode == Mode.COMPARE and opened.options.blind
                self._participants = opened.participants
            case "TurnScheduled" if self._blind:
                scheduled = msgspec.json.decode(data, type=_Scheduled)
                who = self._participants[scheduled.participant : scheduled.participant + 1]
                if who and who[0].role is not Role.MEMBER:
                    self._open.add(scheduled.turn)
            case "WinnerPicked":
                self._picked = True
            case "DiscussionFailed" | "DiscussionReopened":
                self._failed = name == "DiscussionFailed"
            case _:
                pass
        return self.down is not before

    def over(self, name: str, data: bytes) -> bytes:
        """The fact as it may be shown now."""
        if not self.down or not (name in _PUT or name in _DROPPED or name in _TELLS_WHY):
            return data
        told: dict[str, Any] = msgspec.json.decode(data)
        if told.get("turn") in self._open:
            return data
        for field in _DROPPED.get(name, ()):
            told.pop(field, None)
        told |= _PUT.get(name, {})
        if name == _OPENED:
            told["participants"] = [_masked(who, at) for at, who in enumerate(self._participants)]
        if name in _TELLS_WHY and told.get("failure"):
            told["failure"] = _untold(msgspec.convert(told["failure"], Failure))
        return msgspec.json.encode(told)
