"""One discussion as its viewers are to see it: every fact once and in order, no text twice.

Facts and live text reach the edge on different ways, late, twice or not at all. A feed takes them
in any order and gives out only what comes next; what is missing it names, so that somebody can
fetch it. Of the facts it keeps the newest; older ones are in the journal for whoever comes late.
There is no clock and no network in here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import msgspec

from contracts.discussion import DiscussionState
from contracts.discussion_events import (
    ASIDE,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionFailed,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnRestarted,
)
from contracts.event import name_of
from contracts.keeping import DiscussionDeleted
from contracts.stream import ChunkKind, StreamChunk
from contracts.workflow_events import RunCancelled, RunCompleted, RunDeleted, RunFailed
from services.edge.blind import Veil
from services.edge.frames import event_frame, fact_frame, live_frame

EARLY = 1 << 20
"""Bytes of live text kept for attempts whose start has not been heard of yet."""

LOG = 1 << 20
"""Bytes of facts kept for who joins; the newest one is kept however large it is."""

AHEAD = 64
"""Facts kept while one before them is missing; the journal has the others."""

TERMINAL = {
    name_of(DiscussionCompleted): DiscussionState.COMPLETED,
    name_of(DiscussionFailed): DiscussionState.FAILED,
    name_of(DiscussionCancelled): DiscussionState.CANCELLED,
    # A run of a workflow is followed in the same way.
    name_of(RunCompleted): DiscussionState.COMPLETED,
    name_of(RunFailed): DiscussionState.FAILED,
    name_of(RunCancelled): DiscussionState.CANCELLED,
}

_ASIDE = frozenset(map(name_of, (*ASIDE, RunDeleted)))
"""They may come after the end, and change nothing of it."""
_DELETED = frozenset(map(name_of, (DiscussionDeleted, RunDeleted)))
_STARTS = name_of(AttemptStarted)
_BREAKS_OFF = frozenset(map(name_of, (AttemptFailed, AttemptCut)))
_ENDS_ATTEMPT = frozenset(map(name_of, (AttemptFailed, AttemptCut, TurnRestarted, TurnCompleted)))
_ENDS_TURN = frozenset(map(name_of, (TurnCompleted, TurnFailed, TurnCancelled)))


# --- What is given out ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """One of the discussion's own events."""

    version: int
    name: str
    data: bytes
    """All of it, for who follows within the edge."""
    frame: bytes
    """What viewers are shown of it."""


@dataclass(frozen=True, slots=True)
class Live:
    """A piece of text that follows exactly what was given out before it."""

    chunk: StreamChunk
    frame: bytes


@dataclass(frozen=True)
class TurnText:
    """All that a running turn has said so far, for a reader that was not there."""

    turn: str
    attempt: str
    said: dict[ChunkKind, str]

    @cached_property
    def frame(self) -> bytes:
        """The snapshot; `reasoning` and `tool_call` only where there is any."""
        more = {kind.value: text for kind, text in self.said.items() if text}
        named = {"turn": self.turn, "attempt": self.attempt, "text": ""}
        return event_frame("TurnText", named | more)


Output = Fact | Live | TurnText


# --- What is known --------------------------------------------------------------------------


class _Marks(msgspec.Struct):
    """Which turn and attempt an event is about."""

    turn: str = ""
    attempt: str = ""
    from_char: int = 0
    """A resumed attempt goes on where the turn's former one broke off: so far was its text."""
    text: str = ""


_marks = msgspec.json.Decoder(_Marks)


@dataclass(slots=True)
class _Said:
    """What one attempt has said of one kind."""

    length: int = 0
    pieces: list[str] = field(default_factory=list[str])
    ahead: dict[int, tuple[StreamChunk, bytes]] = field(
        default_factory=dict[int, tuple[StreamChunk, bytes]]
    )
    """By offset: text that cannot be given out before what is missing in front of it."""
    torn: bool = False
    """What is missing cannot be had any more; the completed turn will bring it."""

    def text(self) -> str:
        whole = "".join(self.pieces)
        self.pieces = [whole]
        return whole


@dataclass(slots=True)
class _Attempt:
    turn: str
    attempt: str
    said: dict[ChunkKind, _Said] = field(default_factory=dict[ChunkKind, _Said])

    def of(self, kind: ChunkKind) -> _Said:
        found = self.said.get(kind)
        if found is None:
            found = self.said[kind] = _Said()
        return found


class Feed:
    """A discussion's log so far and the text of what runs."""

    def __init__(self) -> None:
        self.state: DiscussionState | None = None
        """How it ended; None while it can still go on."""
        self.deleted = False
        """What is held here is to be shown to nobody any more."""
        self._log: deque[Fact] = deque()
        self._log_bytes = 0
        self._forgotten = 0
        """Version up to which facts are no longer kept."""
        self._veil = Veil()
        self._later: dict[int, tuple[str, bytes, _Marks]] = {}
        self._broken: dict[str, str] = {}
        """By turn: what it had said when its last attempt broke off."""
        self._running: dict[str, _Attempt] = {}
        self._ended: set[str] = set()
        self._early: dict[str, list[tuple[StreamChunk, bytes]]] = {}
        self._early_bytes = 0

    @property
    def version(self) -> int:
        """Of the last fact known, with none missing before it."""
        return self._forgotten + len(self._log)

    @property
    def lacks_facts(self) -> bool:
        """Whether a fact is missing in front of one that is here already."""
        return bool(self._later)

    @property
    def lacks_text(self) -> list[str]:
        """Attempts of which text is missing in front of some that is here already."""
        return [
            attempt.attempt
            for attempt in self._running.values()
            if any(said.ahead for said in attempt.said.values())
        ]

    @property
    def strangers(self) -> list[str]:
        """Attempts that speak, though their start has not been heard of."""
        return list(self._early)

    @property
    def running(self) -> list[str]:
        """Attempts that have begun and not ended."""
        return list(self._running)

    # --- What comes in ----------------------------------------------------------------------

    def fact(self, version: int, name: str, data: bytes) -> Sequence[Output]:
        """Take in one of the discussion's events; what can be given out now."""
        if version <= self.version:
            return ()
        if version > self.version + 1 and len(self._later) >= AHEAD:
            return ()  # something is missing anyway, and will be read together with this
        self._later[version] = (name, data, _marks.decode(data))
        out: list[Output] = []
        while (following := self._later.pop(self.version + 1, None)) is not None:
            named, told, marks = following
            if self._veil.hear(named, told):
                self._tell_anew()
            out.extend(self._follow(self.shown(self.version + 1, named, told), marks))
        return out

    def shown(self, version: int, name: str, data: bytes) -> Fact:
        """One of the facts known here, as viewers may see it now."""
        return Fact(version, name, data, fact_frame(version, name, self._veil.over(name, data)))

    def chunk(self, chunk: StreamChunk, payload: bytes) -> Sequence[Output]:
        """Take in a piece of live text; what can be given out now."""
        if not chunk.text:
            return ()  # a pulse: for discussion, not for viewers
        attempt = self._running.get(chunk.attempt)
        if attempt is None:
            self._keep_early(chunk, payload)
            return ()
        said = attempt.of(chunk.kind)
        if chunk.offset == said.length and not said.ahead:
            said.pieces.append(chunk.text)
            said.length += len(chunk.text)
            return (Live(chunk, live_frame(payload)),)
        if said.torn:
            return ()
        if chunk.offset + len(chunk.text) > said.length:
            same = said.ahead.get(chunk.offset)
            if same is None or len(same[0].text) < len(chunk.text):
                said.ahead[chunk.offset] = (chunk, payload)
        return self._catch_up(said)

    def tear(self, attempt: str) -> None:
        """What is missing of this attempt's text is lost: stop waiting for it."""
        known = self._running.get(attempt)
        for said in known.said.values() if known is not None else ():
            if said.ahead:
                said.ahead.clear()
                said.torn = True

    def forget(self, attempt: str) -> None:
        """Whatever this attempt still says, or has said, is not to be shown."""
        self._ended.add(attempt)
        self._drop_early(attempt)

    # --- For who joins ----------------------------------------------------------------------

    def holds(self, version: int) -> bool:
        """Whether every fact after `version` is still kept here."""
        return version >= self._forgotten

    @property
    def forgotten(self) -> int:
        """Version of the newest fact that only the journal has."""
        return self._forgotten

    def since(self, version: int) -> Iterable[Fact]:
        """The facts after `version`, which `holds`."""
        assert self.holds(version), "what is missing is in the journal"
        return islice(self._log, version - self._forgotten, None)

    def said(self, attempt: str) -> dict[ChunkKind, str] | None:
        """What a running attempt has said so far; None of one that does not run."""
        known = self._running.get(attempt)
        return None if known is None else {kind: said.text() for kind, said in known.said.items()}

    def snapshots(self) -> list[TurnText]:
        """One for each turn that is being answered now."""
        return [
            TurnText(
                attempt.turn,
                attempt.attempt,
                {kind: said.text() for kind, said in attempt.said.items()},
            )
            for attempt in self._running.values()
        ]

    # ----------------------------------------------------------------------------------------

    def _follow(self, fact: Fact, marks: _Marks) -> Iterable[Output]:
        self._keep(fact)
        if fact.name not in _ASIDE:
            self.state = TERMINAL.get(fact.name)
        self.deleted = self.deleted or fact.name in _DELETED
        yield fact
        if fact.name in _BREAKS_OFF:
            self._broken[marks.turn] = marks.text
        if fact.name == _STARTS:
            self._end_turn(marks.turn)
            attempt = self._running[marks.attempt] = _Attempt(marks.turn, marks.attempt)
            if prefix := self._broken.pop(marks.turn, "")[: marks.from_char]:
                attempt.said[ChunkKind.TEXT] = _Said(length=len(prefix), pieces=[prefix])
            for chunk, payload in self._drop_early(marks.attempt):
                yield from self.chunk(chunk, payload)
            return
        if fact.name in _ENDS_TURN:
            self._broken.pop(marks.turn, None)
            self._end_turn(marks.turn)
        if fact.name in _ENDS_ATTEMPT:
            self._end(marks.attempt)
        if self.state is not None:
            for attempt in list(self._running):
                self._end(attempt)

    def _tell_anew(self) -> None:
        """What may be seen of the facts is not what it was."""
        self._log = deque(self.shown(one.version, one.name, one.data) for one in self._log)
        self._log_bytes = sum(len(fact.frame) for fact in self._log)

    def _keep(self, fact: Fact) -> None:
        self._log.append(fact)
        self._log_bytes += len(fact.frame)
        while self._log_bytes > LOG and len(self._log) > 1:
            self._log_bytes -= len(self._log.popleft().frame)
            self._forgotten += 1

    def _end_turn(self, turn: str) -> None:
        for attempt in [known for known in self._running.values() if known.turn == turn]:
            self._end(attempt.attempt)

    def _end(self, attempt: str) -> None:
        self._running.pop(attempt, None)
        self.forget(attempt)

    def _keep_early(self, chunk: StreamChunk, payload: bytes) -> None:
        if chunk.attempt in self._ended or self._early_bytes + len(payload) > EARLY:
            return
        self._early.setdefault(chunk.attempt, []).append((chunk, payload))
        self._early_bytes += len(payload)

    def _drop_early(self, attempt: str) -> list[tuple[StreamChunk, bytes]]:
        dropped = self._early.pop(attempt, [])
        self._early_bytes -= sum(len(payload) for _, payload in dropped)
        return dropped

    def _catch_up(self, said: _Said) -> list[Output]:
        """Give out what was ahead, as far as nothing is missing before it any more."""
        out: list[Output] = []
        for offset in sorted(said.ahead):
            if offset > said.length:
                break
            chunk, payload = said.ahead.pop(offset)
            known = said.length - offset
            if known >= len(chunk.text):
                continue
            if known:
                chunk = msgspec.structs.replace(chunk, offset=said.length, text=chunk.text[known:])
                payload = msgspec.json.encode(chunk)
            said.pieces.append(chunk.text)
            said.length += len(chunk.text)
            out.append(Live(chunk, live_frame(payload)))
        return out
