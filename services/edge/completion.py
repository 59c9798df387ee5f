"""One chat completion while it comes to be: a discussion's facts, told in OpenAI's words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import Any

import structlog

from contracts.discussion import DiscussionState
from contracts.discussion_events import (
    DISCUSSION_EVENTS,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    TurnCancelled,
    TurnCompleted,
    TurnFailed,
    TurnParked,
    TurnRestarted,
    TurnScheduled,
)
from contracts.event import name_of
from contracts.stream import ChunkKind
from services.edge.batch import Batch
from services.edge.feed import Fact, Live, Output, TurnText
from services.edge.openai_words import (
    DONE,
    WAITING,
    Pieces,
    WireError,
    failure_of,
    usage_of,
)
from services.edge.outlet import Ending, Outlet

_log = structlog.stdlib.get_logger("edge.openai")

_HEARD = frozenset(
    map(
        name_of,
        (
            TurnScheduled,
            AttemptStarted,
            AttemptFailed,
            AttemptCut,
            TurnRestarted,
            TurnParked,
            TurnFailed,
            TurnCompleted,
            TurnCancelled,
        ),
    )
)

INTERRUPTED = WireError(
    status=502,
    message="The provider's stream broke after it had begun. Ask again.",
    type="server_error",
    code="interrupted",
)
CANCELLED = WireError(
    status=409,
    message="This discussion was cancelled. Ask again if an answer is still wanted.",
    type="server_error",
    code="cancelled",
)
STOPPING = WireError(
    status=503,
    message="Parley is being restarted. The answer goes on and stays in its discussion: read it "
    "there, or ask again in a minute.",
    type="server_error",
    code="restarting",
)
NOTHING = WireError(
    status=502,
    message="The discussion ended without an answer. Ask again, or choose another model.",
    type="server_error",
    code="ended",
)


class Completing:
    """Follows a discussion of one turn; see hub.Watcher."""

    def __init__(self, id: str, created: int, model: str, *, with_usage: bool) -> None:
        self.result: asyncio.Future[TurnCompleted | WireError] = (
            asyncio.get_running_loop().create_future()
        )
        self.moot = False
        """It failed for us, but not for good: somebody should cancel the discussion."""
        self.begun = asyncio.Event()
        """There is something to say."""
        self._id, self._created = id, created
        self._pieces = Pieces(id, created, model)
        self._with_usage = with_usage
        self._outlet: Outlet | None = None
        self._early: list[bytes] = []
        self._said: dict[ChunkKind, list[str]] = {}
        self._broke_off_at = ""
        self._wrote = False

    @property
    def failed_silently(self) -> bool:
        """It failed before a word was said: the status of the answer can still tell."""
        return self.result.done() and isinstance(self.result.result(), WireError) and not self._said

    @property
    def answered(self) -> bool:
        """It has ended, and how is known here; not merely this process."""
        return self.result.done() and self.result.result() is not STOPPING

    def attach(self, outlet: Outlet) -> None:
        """Write into this stream from now on, beginning with what was said already."""
        self._outlet = outlet
        outlet.replay(self._pieces.first() + b"".join(self._early))
        self._early.clear()
        if self.result.done():
            outlet.end(Ending.FINISHED)

    # --- As a watcher -----------------------------------------------------------------------

    def offer(self, batch: Batch) -> None:
        self.hear(batch.items)

    def hear(self, items: Iterable[Output]) -> None:
        """Take in what happened."""
        frames = b"".join([frame for item in items for frame in self._tell(item)])
        if frames:
            self._write(frames)
        if self.result.done():
            self.begun.set()
            if self._outlet is not None:
                self._outlet.end(Ending.FINISHED)

    def over(self, state: DiscussionState) -> None:
        if not self.result.done():
            frames = self._fail(CANCELLED if state is DiscussionState.CANCELLED else NOTHING)
            self._write(frames)
            self.hear(())

    def dismiss(self, why: Ending) -> None:
        if not self.result.done():
            self.result.set_result(STOPPING)
            self.begun.set()
        if self._outlet is not None:
            self._outlet.end(why)

    def tick(self, now: float, *, silent: bool) -> None:  # noqa: ARG002 - a watcher's signature
        if self._outlet is not None:
            if not self._wrote:
                self._outlet.write(WAITING)
            self._outlet.check(now)
        self._wrote = False

    # --- Telling ----------------------------------------------------------------------------

    def _tell(self, item: Output) -> Iterator[bytes]:
        if self.result.done():
            return
        match item:
            case Live(chunk=chunk):
                yield from self._say(chunk.kind, chunk.text)
            case TurnText(said=said):
                for kind, text in said.items():
                    if text:
                        yield from self._say(kind, text)
            case Fact(name=name, data=data):
                if name in _HEARD:
                    yield from self._turn(DISCUSSION_EVENTS.decode(data))

    def _turn(self, event: object) -> Iterator[bytes]:
        match event:
            case TurnScheduled(model=model):
                self._pieces = Pieces(self._id, self._created, model)
            case AttemptFailed(text=text) | AttemptCut(text=text):
                self._broke_off_at = text
            case AttemptStarted(from_char=from_char) if from_char:
                # It goes on where it broke off; what was said by then is said here too.
                yield from self._rest(ChunkKind.TEXT, self._broke_off_at[:from_char])
            case TurnRestarted() | AttemptStarted() if self._said:
                # What the client has heard cannot be taken back.
                self.moot = True
                yield self._fail(INTERRUPTED)
            case TurnParked(failure=failure):
                self.moot = True
                yield self._fail(failure_of(failure))
            case TurnFailed(failure=failure):
                yield self._fail(failure_of(failure))
            case TurnCancelled():
                yield self._fail(CANCELLED)
            case TurnCompleted():
                yield from self._complete(event)
            case _:
                pass

    def _say(self, kind: ChunkKind, text: str) -> Iterator[bytes]:
        self._said.setdefault(kind, []).append(text)
        if kind is ChunkKind.TOOL_CALL:
            for deltas in _lists(text):
                yield self._pieces.delta(kind, deltas)
        else:
            yield self._pieces.delta(kind, text)

    def _rest(self, kind: ChunkKind, whole: str) -> Iterator[bytes]:
        """What of `whole` was not said yet."""
        said = "".join(self._said.get(kind, ()))
        if not whole.startswith(said):
            _log.warning("what was streamed is not how the answer begins", kind=kind)
        elif rest := whole[len(said) :]:
            yield from self._say(kind, rest)

    def _complete(self, turn: TurnCompleted) -> Iterator[bytes]:
        """What was streamed is the beginning of what is true; say the rest of it."""
        for kind, whole in (
            (ChunkKind.REASONING, turn.reasoning),
            (ChunkKind.TEXT, turn.text),
        ):
            yield from self._rest(kind, whole)
        if turn.tool_calls and ChunkKind.TOOL_CALL not in self._said:
            calls = [{"index": at} | call for at, call in enumerate(turn.tool_calls)]
            yield self._pieces.delta(ChunkKind.TOOL_CALL, calls)
        yield self._pieces.last(turn.finish_reason)
        if self._with_usage:
            yield self._pieces.usage(usage_of(turn.usage))
        yield DONE
        self.result.set_result(turn)

    def _fail(self, error: WireError) -> bytes:
        self.result.set_result(error)
        return error.frame()

    def _write(self, frames: bytes) -> None:
        self._wrote = True
        self.begun.set()
        if self._outlet is None:
            self._early.append(frames)
        else:
            self._outlet.write(frames)


def _lists(text: str) -> Iterator[list[dict[str, Any]]]:
    """The lists of tool-call deltas in `text`, of which several may stand in a row."""
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        try:
            deltas, at = decoder.raw_decode(text, at)
        except ValueError:
            _log.warning("unreadable tool call delta")
            return
        yield deltas
