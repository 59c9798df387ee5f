"""Discussions played by scripted members: who is called answers at once, as a pure function."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from typing import Any, TypeVar

from contracts.attempts import Message, Parameters
from contracts.discussion_events import (
    DiscussionEvent,
    DiscussionOpened,
    Participant,
    TurnScheduled,
)
from contracts.failures import Evidence, FailureClass
from contracts.modes import Mode, Options, Role
from contracts.stream import ProviderError, StreamCompleted, Usage, UsageStatus
from services.discussion import aggregate, prompting
from services.discussion.aggregate import (
    Command,
    Discussion,
    Due,
    Going,
    Hear,
    NotOpened,
    Open,
    Over,
    StartAttempt,
    table,
)
from services.discussion.modes.table import Seat

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
F = TypeVar("F", bound=DiscussionEvent)

Member = Callable[[Seat, list[Message]], str | None]
"""What it says to what it is shown; None: its request is refused for ever."""


class Talk:
    """All facts of one discussion, made by commands alone."""

    def __init__(
        self,
        mode: Mode,
        names: str,
        *,
        options: Options | None = None,
        other: Role | None = None,
        topic: str = "Tea or coffee?",
    ) -> None:
        participants = [Participant(model=f"kimi/{name}", name=name.title()) for name in names]
        if other is not None:
            participants.append(Participant(model="kimi/chief", name="Chief", role=other))
        self.facts: list[DiscussionEvent] = []
        self.now = NOON
        self.shown: dict[str, list[Message]] = {}
        self._ids = (f"{at:04}" for at in itertools.count(1))
        opened = DiscussionOpened(
            at=NOON,
            discussion="d",
            workspace="default",
            mode=mode,
            participants=participants,
            parameters=Parameters(max_completion_tokens=0),
            topic=topic,
            title=topic,
            options=options or Options(),
        )
        self.do(Open(opened))

    @property
    def state(self) -> Discussion:
        return reduce(aggregate.evolve, self.facts, NotOpened())

    @property
    def going(self) -> Going:
        state = self.state
        assert isinstance(state, Going)
        return state

    @property
    def over(self) -> Over:
        state = self.state
        assert isinstance(state, Over)
        return state

    def do(self, command: Command) -> list[DiscussionEvent]:
        new = aggregate.decide(
            command,
            self.state,
            now=self.now,
            dice=lambda: 0.5,
            new_id=lambda: next(self._ids),
        )
        self.facts += new
        return new

    def of(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def waiting(self) -> list[Seat]:
        """Who is called and has not begun."""
        state = self.state
        turns = state.turns.values() if isinstance(state, Going) else ()
        return [turn.seat for turn in turns if isinstance(turn.phase, Due)]

    def speak(self, turn: str, text: str | None) -> list[DiscussionEvent]:
        """The turn is attempted, and ends so."""
        seat = self.going.turns[turn].seat
        self.shown[turn] = prompting.messages(table(self.going, self.now), seat)
        attempt = f"a{next(self._ids)}"
        self.do(StartAttempt(turn=turn, attempt=attempt, endpoint="https://api.test/v1"))
        about: dict[str, Any] = {
            "at": self.now,
            "workspace": "default",
            "discussion": "d",
            "turn": turn,
            "attempt": attempt,
        }
        if text is None:
            refused = ProviderError(
                **about, class_=FailureClass.REQUEST, evidence=Evidence(status=400)
            )
            return self.do(Hear(refused))
        usage = Usage(input_tokens=100, output_tokens=10, status=UsageStatus.MEASURED)
        return self.do(
            Hear(
                StreamCompleted(
                    **about,
                    text=text,
                    finish_reason="stop",
                    usage=usage,
                    model=seat_model(self, seat),
                )
            )
        )

    def play(self, member: Member, *, most: int = 200) -> None:
        """Everybody who is called answers, the first called first, until nobody is."""
        for _ in range(most):
            waiting = self.waiting()
            if not waiting:
                return
            seat = waiting[0]
            shown = prompting.messages(table(self.going, self.now), seat)
            self.speak(seat.turn, member(seat, shown))
        raise AssertionError(f"still talking after {most} turns")

    def called(self) -> list[tuple[str, int]]:
        """Who was called, in which round."""
        names = self._opened.participants
        return [(names[each.participant].name, each.round) for each in self.of(TurnScheduled)]

    @property
    def _opened(self) -> DiscussionOpened:
        first = self.facts[0]
        assert isinstance(first, DiscussionOpened)
        return first


def seat_model(talk: Talk, seat: Seat) -> str:
    """The model that answers for the seat."""
    return talk.going.turns[seat.turn].model.partition("/")[2]


def said(messages: list[Message]) -> str:
    """All that is shown, as one text."""
    return "\n".join(str(message.content) for message in messages)
