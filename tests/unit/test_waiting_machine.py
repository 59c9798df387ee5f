"""Everything that may happen to a house full of waiting turns, in any order, as Hypothesis likes.

The pure core is driven as the service drives it: one record for the account, shared by all
replicas, the turns of discussions, gates, and a row for every timer. Beside it stands the
provider's own meter, which simply counts (`tests/meter.py`). After every step:

- no sliding minute, no day and no moment has more than the account may have (requests, tokens,
  requests at a time), whatever is declared, learnt, lowered, raised or moved;
- no turn asks more often than is sensible, and all together retry no more than their purse allows;
- behind a closed gate nothing is sent until somebody opens it;
- every turn has an owner: a timer, a lease, or a gate that an event opens;
- whoever is told when to ask again is told the truth.

`PARLEY_DEEP=1` tries a hundred times as much: make test/unit ARGS="-k WaitingHouse".
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.attempts import Parameters
from contracts.discussion_events import (
    AttemptCut,
    AttemptFailed,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
    DiscussionOpened,
    Participant,
    TurnCompleted,
    TurnParked,
    TurnReopened,
    TurnScheduled,
    TurnWaiting,
)
from contracts.failures import PARKING, Evidence, FailureClass
from contracts.modes import Mode
from contracts.providers import Limits
from contracts.stream import ProviderError, StreamCompleted, Usage, UsageStatus
from services.discussion import admission, aftermath, allowance
from services.discussion.admission import LEASE, RECHECK, Account, Admitted, Ask, Denied, TooLarge
from services.discussion.aggregate import (
    Command,
    CutAttempt,
    Deleted,
    Discussion,
    Due,
    Ended,
    Going,
    Hear,
    HoldBack,
    NotOpened,
    Open,
    Over,
    Parked,
    ParkTurn,
    Refuse,
    Retry,
    Running,
    StartAttempt,
    Turn,
    decide,
    evolve,
)
from services.discussion.allowance import Allowance
from services.discussion.remedies import reset_in
from services.discussion.words import explain
from tests.meter import Meter, Request

KIMI = "kimi/kimi-k2.6"
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FOREVER = datetime.max.replace(tzinfo=UTC)
MOST_REQUESTS = 4
GATES = {FailureClass.AUTH: "key", FailureClass.BILLING: "billing", FailureClass.MODEL: "model"}

LONGEST = {
    "rate": timedelta(seconds=66),
    "tokens": timedelta(seconds=66),
    "concurrency": RECHECK,
    "breaker": timedelta(seconds=300),
    "retries": allowance.BY_ITSELF,
    "daily": 2 * DAY,
}
"""How far ahead a time may be named."""

T = TypeVar("T")


@dataclass
class Timer:
    """The row of a turn that waits."""

    due: datetime
    queued: int
    waits_for: str = ""
    insists: bool = False


@dataclass
class Attempt:
    """The row of a request that was permitted, and what is true of it."""

    discussion: str
    turn: str
    key: str
    replica: int
    lease: datetime
    tokens: int
    trial: bool
    alive: bool = True
    """Somebody works on it, and will say how it ended."""


@dataclass
class Bill:
    """What the provider bills for the day, request by request."""

    day: datetime = MIDNIGHT
    of_day: dict[str, int] = field(default_factory=dict[str, int])


def minutes() -> st.SearchStrategy[float]:
    return st.one_of(st.floats(0, 3), st.floats(0, 90))


class WaitingHouse(RuleBasedStateMachine):
    """The rules are what may happen; the invariants what must never be."""

    def __init__(self) -> None:
        super().__init__()
        self.real = MIDNIGHT
        self.ahead = timedelta(0)
        """How far the database's clock is ahead of the true time."""
        self.limits = Limits()
        self.account = Account()
        self.meter = Meter()
        self.bill = Bill()
        self.version = 1
        self.talks: dict[str, Discussion] = {}
        self.tokens: dict[str, int] = {}
        self.timers: dict[str, Timer] = {}
        self.attempts: dict[str, Attempt] = {}
        self.gates: set[str] = set()
        self.resets = FOREVER
        """When the billing gate opens by itself."""
        self.ids = 0
        self.ends: dict[str, int] = {}
        self.requests: dict[str, int] = {}
        """By turn, since it was last reopened; looks at a sick provider not counted."""
        self.retries = 0.0
        self.successes = 0
        self.purse = allowance.MOST
        self.clock_ran = timedelta(0)
        self.dice = Random(0)
        self.proven: set[str] = set()

    # --- what time it is, and who is who --------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.real + self.ahead

    def fresh(self) -> str:
        self.ids += 1
        return f"{self.ids:06}"

    @property
    def key(self) -> str:
        return f"k:{self.version}"

    def turn(self, id: str) -> tuple[str, Turn]:
        return next(
            (talk, state.turns[id])
            for talk, state in self.talks.items()
            if not isinstance(state, NotOpened | Deleted) and id in state.turns
        )

    def pick(self, things: list[T], number: int) -> T:
        return things[number % len(things)]

    # --- as the service does it -----------------------------------------------------------------

    def change(self, talk: str, command: Command) -> list[DiscussionEvent]:
        """Store.change and Reactions.note."""
        state = self.talks[talk]
        events = decide(command, state, now=self.now, dice=self.dice.random, new_id=self.fresh)
        for event in events:
            match event:
                case AttemptFailed() | AttemptCut() | TurnCompleted():
                    self.attempt_ended(event, events)
                case DiscussionCompleted() | DiscussionFailed():
                    self.ends[talk] = self.ends.get(talk, 0) + 1
                case _:
                    pass
        for event in events:
            match event:
                case TurnScheduled(turn=turn) | TurnParked(turn=turn):
                    self.set_timer(turn, self.now)
                case TurnReopened(turn=turn):
                    self.requests[turn] = 0
                    self.set_timer(turn, self.now)
                case TurnWaiting(turn=turn, not_before=due):
                    self.set_timer(turn, due)
                case _:
                    pass
        after = reduce(evolve, events, state)
        self.talks[talk] = after
        if not isinstance(after, NotOpened | Deleted):
            for turn in after.turns.values():
                if isinstance(turn.phase, Running | Ended):
                    self.timers.pop(turn.id, None)
        return events

    def set_timer(self, turn: str, due: datetime, waits_for: str = "") -> None:
        had = self.timers.get(turn)
        self.ids += 1
        self.timers[turn] = Timer(due, had.queued if had else self.ids, waits_for)

    def attempt_ended(
        self, end: AttemptFailed | AttemptCut | TurnCompleted, events: list[DiscussionEvent]
    ) -> None:
        held = self.attempts.pop(end.attempt)
        if isinstance(end, AttemptFailed) and not end.sent:
            self.meter.never_sent(end.attempt)
            self.bill.of_day.pop(end.attempt, None)
        elif isinstance(end, TurnCompleted) and end.attempt in self.bill.of_day:
            self.bill.of_day[end.attempt] = end.usage.input_tokens + end.usage.output_tokens
        self.meter.running.discard(end.attempt)
        self.account = aftermath.after(
            self.account,
            end,
            events,
            key=held.key,
            limits=self.limits,
            now=self.now,
            dice=self.dice.random,
        )
        if isinstance(end, TurnCompleted):
            self.successes += 1
            self.proven.add(held.key)
            self.open("billing", "model")
        if isinstance(end, AttemptFailed) and end.class_ in PARKING:
            gate = GATES[end.class_]
            self.proven.discard(held.key)
            opens_in = reset_in(end.class_, end.evidence)
            if gate not in self.gates:
                self.resets = FOREVER if opens_in is None else self.now + opens_in
            self.gates.add(f"{gate}:{held.key}" if gate == "key" else gate)

    def open(self, *gates: str) -> None:
        for gate in gates:
            self.gates = {closed for closed in self.gates if closed.partition(":")[0] != gate}
            for timer in self.timers.values():
                if timer.waits_for == gate and timer.due > self.now:
                    timer.due = self.now

    def closed(self) -> str | None:
        """What stands in the way, and opens by an event only."""
        if f"key:{self.key}" in self.gates:
            return "key"
        return next((gate for gate in ("model", "billing") if gate in self.gates), None)

    def begin(self, turn_id: str, replica: int, late: float) -> None:
        """Turns.due."""
        talk, turn = self.turn(turn_id)
        timer = self.timers[turn_id]
        gate = self.closed()
        if gate is not None and not (timer.insists and gate != "key"):
            failure = explain(FailureClass.AUTH, KIMI)
            self.change(talk, ParkTurn(turn=turn_id, gate=f"{gate}:kimi", failure=failure))
            self.set_timer(turn_id, FOREVER, gate)
            return
        insisted = timer.insists
        attempt = self.fresh()
        cost = allowance.cost_of(turn.failures[-1] if turn.failures else None)
        ask = Ask(attempt=attempt, key=self.key, tokens=self.tokens[talk], retry=cost)
        self.hold_places()
        verdict = admission.admit(self.account, self.limits, ask, now=self.now)
        self.account = verdict.account
        match verdict:
            case Denied(reason=reason, not_before=until):
                self.truth(ask, verdict)
                self.change(talk, HoldBack(turn=turn_id, reason=reason, not_before=until))
                self.set_timer(turn_id, until)
            case TooLarge():
                words = explain(FailureClass.REQUEST, KIMI, hint="cannot_fit")
                self.change(talk, Refuse(turn=turn_id, failure=words))
            case Admitted(trial=trial):
                assert gate is None or insisted, "a closed gate was passed"
                self.permit(talk, turn, ask, replica, late, trial=trial)

    def hold_places(self) -> None:
        """Who is still running keeps its place, however late somebody looks after it."""
        for attempt in admission.lapsed(self.account, self.now):
            if attempt in self.attempts:
                self.account = admission.renew(self.account, attempt, now=self.now)

    def permit(
        self, talk: str, turn: Turn, ask: Ask, replica: int, late: float, *, trial: bool
    ) -> None:
        limits = admission.in_force(self.account, self.limits)
        if self.key not in self.proven:
            assert not self.meter.running, "a key that has proven nothing does not run alone"
        self.meter.note(
            Request(
                ask.attempt,
                self.real,
                self.real + timedelta(seconds=late),
                ask.tokens,
                limits,
            )
        )
        self.charge(ask, limits)
        if not trial:
            self.retries += ask.retry
            self.requests[turn.id] = self.requests.get(turn.id, 0) + 1
        self.attempts[ask.attempt] = Attempt(
            talk, turn.id, ask.key, replica, self.now + LEASE, ask.tokens, trial
        )
        start = StartAttempt(
            turn=turn.id, attempt=ask.attempt, endpoint="", key="k", key_version=1, trial=trial
        )
        self.change(talk, start)

    def charge(self, ask: Ask, limits: Limits) -> None:
        today = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        if today > self.bill.day:
            self.bill = Bill(today)
        self.bill.of_day[ask.attempt] = ask.tokens
        if limits.tpd is not None:
            assert sum(self.bill.of_day.values()) <= limits.tpd, "too many tokens a day"

    def truth(self, ask: Ask, denied: Denied) -> None:
        """Asking again at the time that was named, with nothing else happening, gets on."""
        now, steps = self.now, 0
        while steps < 20:
            longest = LONGEST.get(denied.reason, timedelta(days=32))
            assert now < denied.not_before <= now + longest, denied.reason
            reason, now, steps = denied.reason, denied.not_before, steps + 1
            again = admission.admit(denied.account, self.limits, ask, now=now)
            if not isinstance(again, Denied):
                return
            if again.reason == reason == "concurrency":
                assert again.not_before - now >= timedelta(seconds=1), "a hot loop"
            else:
                assert again.reason != reason, f"{reason} was not over at the time named"
            denied = again
        raise AssertionError("asked twenty times in vain")

    # --- what may happen ------------------------------------------------------------------------

    @initialize(
        rpm=st.sampled_from([None, 1, 3, 20, 100]),
        tpm=st.sampled_from([None, 500, 1_500]),
        tpd=st.sampled_from([None, 1_000]),
        concurrency=st.sampled_from([None, 1, 2, 15]),
        purse=st.sampled_from([allowance.MOST, 1.0, 0.0]),
        hour=st.sampled_from([12.0, 23.95]),
        seed=st.integers(0, 1000),
    )
    def declare(
        self,
        rpm: int | None,
        tpm: int | None,
        tpd: int | None,
        concurrency: int | None,
        purse: float,
        hour: float,
        seed: int,
    ) -> None:
        self.limits = Limits(rpm=rpm, tpm=tpm, tpd=tpd, concurrency=concurrency)
        self.purse = purse
        self.account = Account(allowance=Allowance(purse))
        self.real = MIDNIGHT + timedelta(hours=hour)
        self.dice = Random(seed)

    @precondition(lambda self: len(self.talks) < 6)
    @rule(members=st.integers(1, 6), tokens=st.sampled_from([1, 10, 150, 400]))
    def open_discussion(self, members: int, tokens: int) -> None:
        talk = self.fresh()
        self.talks[talk], self.tokens[talk] = NotOpened(), tokens
        opened = DiscussionOpened(
            at=self.now,
            discussion=talk,
            workspace="w",
            mode=Mode.PARALLEL if members > 1 else Mode.SINGLE,
            participants=[Participant(persona="", model=KIMI) for _ in range(members)],
            parameters=Parameters(max_completion_tokens=100),
        )
        self.change(talk, Open(opened))

    @precondition(lambda self: self.due())
    @rule(replica=st.integers(0, 2), late=st.floats(0, 2), most=st.integers(1, 10))
    def ask(self, replica: int, late: float, most: int) -> None:
        """A replica takes what is due, the oldest first."""
        for turn in self.due()[:most]:
            self.begin(turn, replica, late)

    def due(self) -> list[str]:
        ready = [turn for turn, timer in self.timers.items() if timer.due <= self.now]
        return sorted(ready, key=lambda turn: (self.timers[turn].due, self.timers[turn].queued))

    @rule(seconds=minutes())
    def advance(self, seconds: float) -> None:
        self.pass_time(timedelta(seconds=seconds))
        self.look_after_leases()

    @precondition(lambda self: self.timers)
    @rule(late=st.floats(0, 2), replica=st.integers(0, 2))
    def wait_for_the_next_timer(self, late: float, replica: int) -> None:
        due = min(timer.due for timer in self.timers.values())
        if due < FOREVER:
            self.pass_time(max(due - self.now, timedelta(0)))
            self.look_after_leases()
            self.ask(replica, late, 1)

    @rule(seconds=st.floats(0, 300), replica=st.integers(0, 2), late=st.floats(0, 2))
    def all_replicas_are_away(self, seconds: float, replica: int, late: float) -> None:
        """Nobody looks after anything meanwhile; then whoever comes first comes first."""
        self.pass_time(timedelta(seconds=seconds))
        for turn in self.due()[:3]:
            self.begin(turn, replica, late)
        self.look_after_leases()

    def pass_time(self, span: timedelta) -> None:
        self.real += span
        self.clock_ran += span

    def look_after_leases(self) -> None:
        """Outcomes.lease_due and Gates.due: whatever is not a turn's own timer."""
        if self.resets <= self.now:
            self.resets = FOREVER
            self.open("billing")
        for id, attempt in sorted(self.attempts.items()):
            if attempt.lease > self.now or id not in self.attempts:
                continue
            if attempt.alive:
                self.account = admission.renew(self.account, id, now=self.now)
                attempt.lease = self.now + LEASE
            else:
                cut = CutAttempt(turn=attempt.turn, attempt=id, reason="no sign of life")
                self.change(attempt.discussion, cut)

    def living(self) -> list[str]:
        return sorted(id for id, attempt in self.attempts.items() if attempt.alive)

    @precondition(lambda self: self.living())
    @rule(which=st.integers(0, 50), used=st.integers(0, 400))
    def succeed(self, which: int, used: int) -> None:
        id = self.pick(self.living(), which)
        attempt = self.attempts[id]
        used = min(used, attempt.tokens)
        outcome = StreamCompleted(
            at=self.now,
            workspace="w",
            discussion=attempt.discussion,
            turn=attempt.turn,
            attempt=id,
            text="yes",
            finish_reason="stop",
            model="kimi-k2.6",
            usage=Usage(output_tokens=used, status=UsageStatus.MEASURED),
        )
        self.change(attempt.discussion, Hear(outcome))

    @precondition(lambda self: self.living())
    @rule(
        which=st.integers(0, 50),
        class_=st.sampled_from(FailureClass),
        text=st.sampled_from(["", "half ", "a long beginning " * 20]),
    )
    def fail(self, which: int, class_: FailureClass, text: str) -> None:
        self.end(which, class_, text=text if class_ is FailureClass.MIDSTREAM else "")

    @precondition(lambda self: len(self.living()) > 1)
    @rule(class_=st.sampled_from([FailureClass.TRANSIENT, FailureClass.OVERLOADED]))
    def all_fail(self, class_: FailureClass) -> None:
        for _ in self.living():
            self.end(0, class_)

    @precondition(lambda self: self.living())
    @rule(
        which=st.integers(0, 50),
        asked=st.one_of(
            st.none(), st.floats(0, 200), st.sampled_from([-1.0, 86_400.0, 1e12, float("nan")])
        ),
        hint=st.sampled_from(["", "tokens", "concurrency", "daily"]),
        named=st.dictionaries(
            st.sampled_from(["rpm", "tpm", "tpd", "concurrency"]), st.integers(1, 500), max_size=2
        ),
    )
    def throttle(self, which: int, asked: float | None, hint: str, named: dict[str, int]) -> None:
        evidence = Evidence(status=429, retry_after=asked, limits=named)
        self.end(which, FailureClass.THROTTLED, evidence=evidence, hint=hint)

    @precondition(lambda self: self.living())
    @rule(which=st.integers(0, 50), hint=st.sampled_from(["unreachable", "busy", "expired", ""]))
    def never_sent(self, which: int, hint: str) -> None:
        self.end(which, FailureClass.TRANSIENT, hint=hint, sent=False)

    def end(
        self,
        which: int,
        class_: FailureClass,
        *,
        evidence: Evidence = Evidence(),
        hint: str = "",
        sent: bool = True,
        text: str = "",
    ) -> None:
        id = self.pick(self.living(), which)
        attempt = self.attempts[id]
        error = ProviderError(
            at=self.now,
            workspace="w",
            discussion=attempt.discussion,
            turn=attempt.turn,
            attempt=id,
            class_=class_,
            evidence=evidence,
            hint=hint,
            sent=sent,
            text=text,
        )
        if not sent or attempt.trial:
            self.requests[attempt.turn] = self.requests.get(attempt.turn, 0) - (not attempt.trial)
        self.change(attempt.discussion, Hear(error))

    @rule(replica=st.integers(0, 2))
    def crash(self, replica: int) -> None:
        """What this replica has permitted and not yet sent is never sent; nobody knows."""
        for id, attempt in self.attempts.items():
            if attempt.replica == replica:
                attempt.alive = False
                self.meter.running.discard(id)

    @rule()
    def rotate_key(self) -> None:
        self.version += 1
        self.open("key", "billing", "model")

    @precondition(lambda self: f"key:{self.key}" in self.gates)
    @rule()
    def the_key_is_good_after_all(self) -> None:
        self.open("key", "billing", "model")

    @precondition(lambda self: self.living())
    @rule(which=st.integers(0, 50), asked=st.sampled_from([None, 1.0, 3600.0]))
    def the_quota_is_used_up(self, which: int, asked: float | None) -> None:
        evidence = Evidence(status=403, retry_after=asked)
        self.end(which, FailureClass.BILLING, evidence=evidence, hint="plan")

    @precondition(lambda self: "billing" in self.gates)
    @rule()
    def top_up(self) -> None:
        self.open("billing")

    @precondition(lambda self: "model" in self.gates)
    @rule()
    def refresh_models(self) -> None:
        self.open("model")

    @precondition(lambda self: self.timers)
    @rule(which=st.integers(0, 50))
    def a_person_insists(self, which: int) -> None:
        timer = self.timers[self.pick(sorted(self.timers), which)]
        if timer.due > self.now:
            timer.due, timer.insists = self.now, True

    @precondition(lambda self: self.failed_turns())
    @rule(which=st.integers(0, 50))
    def a_person_retries(self, which: int) -> None:
        talk, turn = self.pick(self.failed_turns(), which)
        if isinstance(self.talks[talk], Over):
            self.ends[talk] -= 1
        self.change(talk, Retry(turn=turn))

    def failed_turns(self) -> list[tuple[str, str]]:
        return sorted(
            (talk, turn.id)
            for talk, state in self.talks.items()
            if not isinstance(state, NotOpened | Deleted)
            for turn in state.turns.values()
            if turn.phase == Ended(completed=False)
        )

    @rule(
        rpm=st.sampled_from([None, 1, 2, 20, 200]),
        tpm=st.sampled_from([None, 400, 9_000]),
        concurrency=st.sampled_from([None, 1, 3]),
    )
    def set_limits(self, rpm: int | None, tpm: int | None, concurrency: int | None) -> None:
        """An administrator lowers or raises them; what was learnt is forgotten."""
        self.limits = Limits(rpm=rpm, tpm=tpm, tpd=self.limits.tpd, concurrency=concurrency)
        self.account = admission.unlearnt(self.account)

    @rule(seconds=st.one_of(st.floats(-10, 10), st.sampled_from([-3600.0, -120.0, 120.0, 3600.0])))
    def move_the_clock(self, seconds: float) -> None:
        span = timedelta(seconds=seconds)
        self.ahead += span
        if seconds > 0:
            self.meter.leaps.append(self.real)
            self.clock_ran += span

    # --- what must always be --------------------------------------------------------------------

    @invariant()
    def every_turn_has_an_owner(self) -> None:
        leased = {attempt.turn: id for id, attempt in self.attempts.items()}
        for state in self.talks.values():
            if isinstance(state, NotOpened | Deleted):
                continue
            for turn in state.turns.values():
                timer = self.timers.get(turn.id)
                match turn.phase:
                    case Running(attempt=attempt):
                        assert leased[turn.id] == attempt
                        assert self.attempts[attempt].lease < FOREVER
                    case Parked():
                        assert timer is not None
                        assert timer.due < FOREVER or timer.waits_for in GATES.values()
                    case Due():
                        assert timer is not None
                        assert timer.due < FOREVER
                    case Ended():
                        assert timer is None
                        assert turn.id not in leased

    @invariant()
    def each_run_ends_once(self) -> None:
        for talk, state in self.talks.items():
            over = isinstance(state, Over)
            assert self.ends.get(talk, 0) == over
            if isinstance(state, Going):
                phases = [turn.phase for turn in state.turns.values()]
                assert not all(isinstance(phase, Ended) for phase in phases)

    @invariant()
    def nobody_insists_for_ever(self) -> None:
        for state in self.talks.values():
            if not isinstance(state, NotOpened | Deleted):
                for turn in state.turns.values():
                    assert len(turn.failures) <= MOST_REQUESTS
        for turn, requests in self.requests.items():
            assert requests <= MOST_REQUESTS, turn
        purse = self.purse + self.successes * allowance.BY_SUCCESS
        assert self.retries <= purse + self.clock_ran / allowance.BY_ITSELF + 1e-6

    @invariant()
    def places_are_held_by_who_runs(self) -> None:
        held = {lease.attempt for lease in self.account.leases}
        assert self.meter.running <= held
        assert len(held) == len(self.account.leases)


DEEP = bool(os.environ.get("PARLEY_DEEP"))

TestWaitingHouse = WaitingHouse.TestCase
TestWaitingHouse.settings = settings(
    max_examples=4_000 if DEEP else 40,
    stateful_step_count=150 if DEEP else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
