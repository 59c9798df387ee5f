"""A consensus played through with scripted members, by the aggregate alone: no bus, no clock."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import TypeVar

from contracts.attempts import Message, Parameters
from contracts.deliberation import ConsensusConcluded, DiscussionFact, StopDecided
from contracts.discussion_events import (
    DiscussionEvent,
    DiscussionOpened,
    Participant,
    TurnScheduled,
)
from contracts.failures import Failure, FailureClass
from contracts.modes import Mode, Options, Purpose, Role
from contracts.prices import Cost
from contracts.stream import ProviderError, StreamCompleted, Usage, UsageStatus
from local.scripted.panel import Member
from services.discussion import aggregate, prompting
from services.discussion.aggregate import (
    Command,
    Discussion,
    Due,
    Going,
    Hear,
    LosePatience,
    NotOpened,
    Open,
    Over,
    Refuse,
    Running,
    StartAttempt,
    Turn,
)
from services.discussion.modes.table import Seat

F = TypeVar("F", bound=DiscussionFact)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PRICE = Decimal("0.01")
"""Of each request."""

FOUR = ("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "plain-d-abcd")
"""A panel whose members each have an idea of their own."""

Fault = Callable[[Seat], str]
"""What becomes of a turn: "" it answers, "dead" it fails, "slow" it never answers in time, "poor"
its budget is used up."""


def well(_: Seat) -> str:
    return ""


@dataclass
class Sitting:
    """A panel at work."""

    members: tuple[str, ...]
    """Their names, see local/scripted/panel.py."""
    options: Options = field(default_factory=Options)
    chair: str = ""
    fault: Fault = well
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    deadline: datetime | None = None
    discussion: str = "d"
    now: datetime = NOON
    state: Discussion = field(default_factory=NotOpened)
    log: list[DiscussionEvent] = field(default_factory=list[DiscussionEvent])
    asked: list[tuple[Seat, list[Message], Parameters]] = field(
        default_factory=list[tuple[Seat, list[Message], Parameters]]
    )
    """Every request, as its provider saw it."""
    bill: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        self._names = (f"t{number:03}" for number in itertools.count(1))
        self._attempts = (f"a{number}" for number in itertools.count(1))

    def opened(self) -> DiscussionOpened:
        who = [
            Participant(model=f"scripted/panel-{name}", persona=f"member-{at}", name=f"Member {at}")
            for at, name in enumerate(self.members)
        ]
        if self.chair:
            model = f"scripted/panel-{self.chair}"
            who.append(Participant(model=model, persona="chair", name="Chair", role=Role.CHAIR))
        return DiscussionOpened(
            at=self.now,
            discussion=self.discussion,
            workspace="default",
            mode=Mode.CONSENSUS,
            participants=who,
            parameters=Parameters(max_completion_tokens=512),
            topic="Which idea?",
            instructions={each.persona: f"You are {each.name}." for each in who},
            options=self.options,
            deadline=self.deadline,
        )

    def tell(self, command: Command) -> None:
        events = aggregate.decide(
            command, self.state, now=self.now, dice=lambda: 0.5, new_id=lambda: next(self._names)
        )
        self.log += events
        self.state = reduce(aggregate.evolve, events, self.state)

    def play(self) -> ConsensusConcluded:
        """From the beginning to the end."""
        self.tell(Open(self.opened()))
        self.go_on()
        return self.conclusion

    def go_on(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Until it is over or so far."""
        while isinstance(self.state, Going) and not until():
            due = [turn for turn in self.state.turns.values() if isinstance(turn.phase, Due)]
            if due:
                self.turn(self.dice.choice(due))
            else:
                self._wait()

    def _wait(self) -> None:
        """Nothing moves but the clock: patience is lost with who is waited for."""
        assert isinstance(self.state, Going)
        times = {
            event.turn: event.overdue_at for event in self.log if isinstance(event, TurnScheduled)
        }
        turns = self.state.turns.values()
        waiting = [turn for turn in turns if isinstance(turn.phase, Running) and turn.seat.awaited]
        assert waiting, "it waits for nobody, and goes on for nobody"
        first = min(waiting, key=lambda turn: times[turn.id] or NOON)
        self.now = max(self.now, times[first.id] or NOON)
        self.tell(LosePatience(turn=first.id))

    def turn(self, turn: Turn) -> None:
        """One turn, to its end or until nobody waits for it any more."""
        fault = self.fault(turn.seat)
        if fault == "poor":
            self.tell(Refuse(turn=turn.id, failure=POOR))
            return
        assert isinstance(self.state, Going)
        seen = aggregate.table(self.state, self.now)
        messages = prompting.messages(seen, turn.seat)
        self.asked.append((turn.seat, messages, prompting.parameters(seen, turn.seat)))
        attempt = next(self._attempts)
        self.tell(StartAttempt(turn=turn.id, attempt=attempt, endpoint="https://api.test/v1"))
        if fault == "slow":
            return
        self.bill += PRICE
        if fault == "dead":
            self.tell(Hear(self._error(turn, attempt), Cost(amount=PRICE)))
        else:
            self.tell(Hear(self.answer(turn, attempt, messages), Cost(amount=PRICE)))

    def answer(self, turn: Turn, attempt: str, messages: list[Message]) -> StreamCompleted:
        assert isinstance(self.state, Going)
        model = self.state.opened.participants[turn.participant].model.partition("/")[2]
        return StreamCompleted(
            at=self.now,
            workspace="default",
            discussion=self.discussion,
            turn=turn.id,
            attempt=attempt,
            text=Member.named(model).says([(each.role, str(each.content)) for each in messages]),
            finish_reason="stop",
            model=model,
            usage=Usage(input_tokens=10, output_tokens=5, status=UsageStatus.MEASURED),
        )

    def _error(self, turn: Turn, attempt: str) -> ProviderError:
        return ProviderError(
            at=self.now,
            workspace="default",
            discussion=self.discussion,
            turn=turn.id,
            attempt=attempt,
            class_=FailureClass.REQUEST,
            usage=Usage(input_tokens=10, status=UsageStatus.MEASURED),
        )

    # --- What came of it --------------------------------------------------------------------

    @property
    def conclusion(self) -> ConsensusConcluded:
        (only,) = self.of(ConsensusConcluded)
        return only

    def of(self, kind: type[F]) -> list[F]:
        return [event for event in self.log if isinstance(event, kind)]

    def asked_for(self, purpose: Purpose) -> list[tuple[Seat, list[Message], Parameters]]:
        return [each for each in self.asked if each[0].purpose is purpose]

    @property
    def turns(self) -> Mapping[str, Turn]:
        assert isinstance(self.state, Going | Over)
        return self.state.turns

    def idea(self, draft: str) -> str:
        """The idea of a draft, by its author's name."""
        return Member.named(f"panel-{self.members[self.turns[draft].participant]}").idea

    @property
    def winner(self) -> str:
        return self.idea(self.conclusion.winner) if self.conclusion.winner else ""

    @property
    def leaders(self) -> list[str]:
        return sorted(self.idea(draft) for draft in self.conclusion.leaders)

    def later(self, by: timedelta) -> None:
        self.now += by


POOR = Failure(
    class_=FailureClass.BILLING,
    title="The budget is used up",
    detail="Nothing was sent.",
    next_step="Raise it.",
    retryable=True,
)


def stopped(sitting: Sitting) -> str:
    (stop,) = sitting.of(StopDecided)
    return stop.rule


def fails(how: str, *participants: int, purpose: Purpose = Purpose.DRAFT, number: int = 1) -> Fault:
    def fault(seat: Seat) -> str:
        mine = seat.participant in participants and seat.purpose is purpose
        return how if mine and seat.round == number else ""

    return fault
