"""A discussion as somebody who watches it knows it: whose turn says what, up to now.

Facts and live text come in; text is put together by its offset in code points, so that a doubled
piece changes nothing and a missing one shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from contracts.deliberation import Outcome
from contracts.discussion import TurnView
from contracts.discussion_events import Participant
from contracts.failures import Failure
from contracts.modes import Purpose
from contracts.stream import ChunkKind, Usage
from local.api import Sent


@dataclass
class Turn:
    """One answer in the making."""

    id: str
    persona: str
    model: str
    state: str = "scheduled"
    text: str = ""
    thinking: int = 0
    """Characters of reasoning so far; they are counted, not shown."""
    note: str = ""
    failure: Failure | None = None
    usage: Usage | None = None
    remarks: tuple[str, ...] = ()
    """What was asked for and left out."""
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    overdue: bool = False
    """The others have gone on without it."""
    gap: bool = False
    """Live text is missing until the next snapshot."""

    @property
    def settled(self) -> bool:
        return self.state in {"completed", "failed", "cancelled"}


_OF_A_TURN = frozenset(
    {
        "AttemptStarted",
        "StreamChunk",
        "TurnText",
        "TurnRestarted",
        "TurnWaiting",
        "TurnParked",
        "TurnCompleted",
        "TurnFailed",
        "TurnCancelled",
        "TurnOverdue",
        "TurnReopened",
    }
)
_OF_ALL = frozenset(
    {
        "DiscussionOpened",
        "TurnScheduled",
        "MessagePosted",
        "WinnerPicked",
        "StopDecided",
        "ConsensusConcluded",
        "resync",
        "lost",
        "end",
    }
)


class _Said(msgspec.Struct, frozen=True):
    """Every field of those events; others may use the same names for something else."""

    turn: str = ""
    kind: ChunkKind = ChunkKind.TEXT
    offset: int = 0
    text: str = ""
    reasoning: str = ""
    persona: str = ""
    model: str = ""
    provider: str = ""
    participant: int = 0
    participants: list[Participant] = []
    reason: str = ""
    not_before: datetime | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    notes: list[str] = []
    state: str = ""
    purpose: Purpose = Purpose.ANSWER
    round: int = 1
    rule: str = ""
    outcome: Outcome | None = None


@dataclass
class Discussion:
    """What the viewer knows so far."""

    turns: dict[str, Turn] = field(default_factory=dict[str, Turn])
    state: str = "running"
    posts: list[str] = field(default_factory=list[str])
    """What people said into it."""
    picked: str = ""
    """The turn that somebody picked as the best."""
    stopped_by: str = ""
    """The rule that ended the rounds."""
    outcome: Outcome | None = None
    """Of a consensus, once there is one."""
    conclusion: str = ""
    """What it came to, in words."""
    _participants: list[Participant] = field(default_factory=list[Participant])

    @property
    def ended(self) -> bool:
        return self.state in {"completed", "failed", "cancelled"}

    @property
    def parked(self) -> bool:
        """Nothing goes on by itself any more until somebody mends something."""
        open_turns = [turn for turn in self.turns.values() if not turn.settled]
        return bool(open_turns) and all(turn.state == "parked" for turn in open_turns)

    def see(self, sent: Sent) -> None:
        """Take in one event of the stream."""
        if sent.name in _OF_ALL:
            self._note(sent.name, msgspec.json.decode(sent.data, type=_Said))
        elif sent.name in _OF_A_TURN:
            said = msgspec.json.decode(sent.data, type=_Said)
            if said.turn in self.turns:
                _change(self.turns[said.turn], sent.name, said)

    def _note(self, event: str, said: _Said) -> None:
        match event:
            case "DiscussionOpened":
                self._participants = said.participants
            case "TurnScheduled":
                self._schedule(said)
            case "MessagePosted":
                self.posts.append(said.text)
            case "WinnerPicked":
                self.picked = said.turn
            case "StopDecided":
                self.stopped_by = said.rule
            case "ConsensusConcluded":
                self.outcome, self.conclusion = said.outcome, said.text
            case "resync":
                self.turns.clear()
                self.posts.clear()
            case "lost":
                for turn in self.turns.values():
                    turn.gap = not turn.settled
            case "end":
                self.state = said.state
            case _:
                pass

    def adopt(self, turns: list[TurnView], state: str) -> None:
        """Take over what the edge says of it as a whole."""
        self.state = state
        for view in turns:
            turn = self.turns.setdefault(
                view.id, Turn(view.id, view.name or view.persona or view.model, view.model)
            )
            turn.state, turn.text, turn.failure = view.state, view.text, view.failure
            turn.remarks = tuple(view.notes)
            turn.purpose, turn.round, turn.overdue = view.purpose, view.round, view.overdue

    def _schedule(self, said: _Said) -> None:
        known = self._participants[said.participant : said.participant + 1]
        name = (known[0].name if known else "") or said.persona or said.model
        self.turns[said.turn] = Turn(
            said.turn, name, said.model, purpose=said.purpose, round=said.round
        )


def _change(  # noqa: C901, PLR0912 - one case for each fact
    turn: Turn, event: str, said: _Said
) -> None:
    match event:
        case "AttemptStarted":
            turn.state, turn.note = "running", ""
            turn.model = f"{said.provider}/{said.model}"
        case "StreamChunk" if said.kind is ChunkKind.TEXT:
            _append(turn, said)
        case "StreamChunk" if said.kind is ChunkKind.REASONING:
            turn.thinking = max(turn.thinking, said.offset + len(said.text))
        case "TurnText":
            turn.text, turn.thinking, turn.gap = said.text, len(said.reasoning), False
        case "TurnRestarted":
            turn.text, turn.thinking, turn.note = "", 0, "starting again"
        case "TurnWaiting":
            turn.state = "waiting"
            turn.note = f"waiting ({said.reason}){_until(said.not_before)}"
        case "TurnParked":
            turn.state, turn.failure = "parked", said.failure
        case "TurnCompleted":
            turn.state, turn.text, turn.usage = "completed", said.text, said.usage
            turn.model, turn.note, turn.gap = said.model or turn.model, "", False
            turn.remarks = tuple(said.notes)
        case "TurnFailed":
            turn.state, turn.text, turn.failure, turn.note = "failed", said.text, said.failure, ""
        case "TurnCancelled":
            turn.state, turn.text = "cancelled", said.text or turn.text
        case "TurnOverdue":
            turn.overdue = True
        case "TurnReopened":
            turn.state, turn.text, turn.thinking = "scheduled", "", 0
            turn.failure, turn.overdue = None, False
        case _:
            pass


def _append(turn: Turn, said: _Said) -> None:
    known = len(turn.text)
    if said.offset > known:
        turn.gap = True
    elif not turn.gap:
        turn.text += said.text[known - said.offset :]


def _until(when: datetime | None) -> str:
    return f" until {when.astimezone():%H:%M:%S}" if when is not None else ""


WORTH_TELLING = 10
"""Seconds; what is sooner there is soon seen."""


def in_words(estimate: dict[str, Any] | None) -> str:
    """How long it will take, where that is long."""
    seconds = int((estimate or {}).get("seconds", 0))
    if seconds <= WORTH_TELLING:
        return ""
    if seconds < 90:
        return f"This will take about {seconds} seconds."
    return f"This will take about {round(seconds / 60)} minutes: the account allows no more."
