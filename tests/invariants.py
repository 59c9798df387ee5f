"""What must hold whatever went wrong, read from the journals, the tables and the provider's books.

A test breaks something; afterwards this looks at everything that is left, and every sentence here
that is not true is a finding. Nothing is asked of the services: only of what they have written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from contracts.attempts import RunAttempt
from contracts.discussion_events import (
    DISCUSSION_EVENTS,
    AttemptCut,
    AttemptFailed,
    AttemptStarted,
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionFailed,
    DiscussionOpened,
    DiscussionReopened,
    TurnCompleted,
    TurnReopened,
)
from contracts.usage import UsageCorrected, UsageRecorded
from services.discussion import aggregate
from services.discussion.admission import Account
from services.discussion.aggregate import Due, Going, Parked, Running
from services.discussion.ledger import UsageFact
from services.discussion.overview import overview
from shared.database import Connection
from shared.journal import Journal

MOST_REQUESTS = 4
"""Of one turn, until a person tries it again; looks at a provider that is sick come on top."""

MINUTE = timedelta(seconds=60)
ENDS = (DiscussionCompleted, DiscussionFailed, DiscussionCancelled)


Line = tuple[object, ...]
"""Workspace, day, model, persona, token, status, currency, and what is counted."""


@dataclass(frozen=True)
class Books:
    """Everything that discussion has written, as of one moment."""

    stories: Mapping[str, list[DiscussionEvent]]
    """By discussion, from its first event."""
    versions: Mapping[str, list[int]]
    timers: frozenset[tuple[str, str]]
    """Kind and subject of every wake-up."""
    attempts: frozenset[str]
    """That hold a place."""
    leases: frozenset[str]
    """Attempts in the accounts' records."""
    shown: Mapping[str, tuple[str, int]]
    """State and version of each discussion in the list that people see."""
    bills: Mapping[str, list[UsageFact]]
    """By attempt: what it is said to have cost, the last word last."""
    sums: Counter[Line]
    """What the ledger has added up."""

    def started(self) -> list[AttemptStarted]:
        return [event for event in self._all() if isinstance(event, AttemptStarted)]

    def _all(self) -> Iterable[DiscussionEvent]:
        return (event for story in self.stories.values() for event in story)

    def never_sent(self) -> set[str]:
        """Attempts of which it is proven that no request was made."""
        return {
            event.attempt
            for event in self._all()
            if isinstance(event, AttemptFailed) and not event.sent
        }

    def unknown(self) -> set[str]:
        """Attempts of which nobody knows whether a request was made: counted as if it was."""
        ended = {
            event.attempt
            for event in self._all()
            if isinstance(event, AttemptFailed | TurnCompleted)
        }
        return {started.attempt for started in self.started()} - ended


async def books(conn: Connection) -> Books:
    """What the tables of discussion say; all of one moment."""
    journal = Journal[Any](DISCUSSION_EVENTS)
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        rows = await conn.fetch("SELECT discussion, state, version FROM discussions")
        loaded = {row["discussion"]: await journal.load(conn, row["discussion"]) for row in rows}
        timers = await conn.fetch("SELECT kind, subject FROM wakeups")
        attempts = await conn.fetch("SELECT attempt FROM attempts")
        accounts = await conn.fetch("SELECT record FROM accounts")
        streams = await conn.fetch("SELECT stream FROM streams WHERE stream LIKE '%-usage'")
        facts = [one for row in streams for one in await journal.load(conn, row["stream"])]
        days = await conn.fetch("SELECT * FROM ledger_days")
    bills: dict[str, list[UsageFact]] = {}
    for fact in facts:
        bills.setdefault(fact.event.attempt, []).append(fact.event)
    records = [msgspec.json.decode(row["record"], type=Account) for row in accounts]
    return Books(
        stories={
            name: [cast("DiscussionEvent", recorded.event) for recorded in story]
            for name, story in loaded.items()
        },
        versions={name: [one.version for one in story] for name, story in loaded.items()},
        timers=frozenset((row["kind"], row["subject"]) for row in timers),
        attempts=frozenset(row["attempt"] for row in attempts),
        # A look at a provider's models has a place too, for a moment, and reserves no tokens.
        leases=frozenset(
            lease.attempt for account in records for lease in account.leases if lease.tokens
        ),
        shown={row["discussion"]: (row["state"], row["version"]) for row in rows},
        bills=bills,
        sums=_sums_of([dict(row) for row in days]),
    )


# --- What must hold ---------------------------------------------------------------------------


def hold(found: Books) -> None:
    """Every sentence about the journals and the tables beside them."""
    for name, story in found.stories.items():
        assert found.versions[name] == list(range(1, len(story) + 1)), f"{name}: a gap"
        one_end_in_every_run(name, story)
        no_turn_asks_too_often(name, story)
        what_is_called_whole_says_why_it_ended(name, story)
        what_goes_on_goes_on_from_what_was_heard(name, story)
    every_attempt_is_of_its_own(found)
    everything_open_has_an_owner(found)
    nothing_is_held_for_nobody(found)
    the_list_says_what_the_log_says(found)
    every_request_is_on_one_bill(found)
    the_sums_are_those_of_the_bills(found)


def one_end_in_every_run(name: str, story: Sequence[DiscussionEvent]) -> None:
    """After the end nothing comes but a person who opens it again."""
    assert isinstance(story[0], DiscussionOpened), name
    over = False
    for event in story:
        if over:
            assert isinstance(event, DiscussionReopened), f"{name}: {type(event).__name__} after"
            over = False
        elif isinstance(event, ENDS):
            over = True
    aggregate.replay(story)  # and it makes sense from one fact to the next


def no_turn_asks_too_often(name: str, story: Sequence[DiscussionEvent]) -> None:
    unsent = {e.attempt for e in story if isinstance(e, AttemptFailed) and not e.sent}
    asked = Counter[str]()
    for event in story:
        if isinstance(event, TurnReopened):
            asked[event.turn] = 0
        elif isinstance(event, AttemptStarted) and not event.trial and event.attempt not in unsent:
            asked[event.turn] += 1
            assert asked[event.turn] <= MOST_REQUESTS, f"{name}: turn {event.turn} asks for ever"


def what_is_called_whole_says_why_it_ended(name: str, story: Sequence[DiscussionEvent]) -> None:
    for event in story:
        if isinstance(event, TurnCompleted):
            assert event.finish_reason, f"{name}: completed without a reason to end"


def what_goes_on_goes_on_from_what_was_heard(name: str, story: Sequence[DiscussionEvent]) -> None:
    """An attempt that goes on begins where the former one broke off; else it begins anew."""
    heard: dict[str, str] = {}
    for event in story:
        match event:
            case AttemptFailed() | AttemptCut():
                heard[event.turn] = event.text
            case AttemptStarted() if event.from_char:
                assert event.from_char <= len(heard.get(event.turn, "")), f"{name}: {event}"
            case _:
                pass


def every_attempt_is_of_its_own(found: Books) -> None:
    ids = Counter(event.attempt for event in found.started())
    assert not [id_ for id_, times in ids.items() if times > 1], "an attempt began twice"


def everything_open_has_an_owner(found: Books) -> None:
    """Each turn that has not ended has a timer, or an attempt with a lease."""
    for name, story in found.stories.items():
        state = aggregate.replay(story)
        if not isinstance(state, Going):
            continue
        for turn in state.turns.values():
            match turn.phase:
                case Due() | Parked():
                    assert ("turn", turn.id) in found.timers, f"{name}: nobody wakes {turn.id}"
                case Running(attempt=attempt):
                    assert attempt in found.attempts, f"{name}: nobody holds {attempt}"
                    assert ("lease", attempt) in found.timers, f"{name}: nobody looks at {attempt}"
                case _:
                    pass


def nothing_is_held_for_nobody(found: Books) -> None:
    """Places and timers belong to turns that are not over."""
    running: set[str] = set()
    waiting: set[str] = set()
    for story in found.stories.values():
        state = aggregate.replay(story)
        for turn in state.turns.values() if isinstance(state, Going) else ():
            if isinstance(turn.phase, Running):
                running.add(turn.phase.attempt)
            elif isinstance(turn.phase, Due | Parked):
                waiting.add(turn.id)
    assert found.attempts == running, f"held for nobody: {found.attempts ^ running}"
    assert found.leases <= running, f"places held for nobody: {found.leases - running}"
    woken = {subject for kind, subject in found.timers if kind == "turn"}
    assert woken == waiting, f"timers for nobody: {woken ^ waiting}"


def the_list_says_what_the_log_says(found: Books) -> None:
    for name, story in found.stories.items():
        state = overview(aggregate.replay(story), story[-1])
        assert found.shown[name] == (state.value, len(story)), f"{name}: {found.shown[name]}"


def every_request_is_on_one_bill(found: Books) -> None:
    """Once it has ended, and unless it is proven that it was never made."""
    ended = {event.attempt for event in found.started()} - found.attempts
    recorded = {
        attempt
        for attempt, facts in found.bills.items()
        if [type(fact) for fact in facts].count(UsageRecorded) == 1
    }
    assert recorded == found.bills.keys(), "recorded twice, or corrected before it was recorded"
    due = ended - found.never_sent()
    assert due <= recorded, f"not on one bill: {due - recorded}"
    # Who is given up is recorded at once, though its place is given back later.
    begun = {event.attempt for event in found.started()} - found.never_sent()
    assert recorded <= begun, f"on a bill for nothing: {recorded - begun}"


def the_sums_are_those_of_the_bills(found: Books) -> None:
    """Made again from the journal, they are the same."""
    sums = Counter[Line]()
    for facts in found.bills.values():
        fact = facts[-1]
        if isinstance(fact, UsageCorrected) and not fact.sent:
            continue
        model = f"{fact.provider}/{fact.model}"
        currency = "" if fact.cost is None else fact.cost.currency
        who = (fact.workspace, fact.day, model, fact.persona, fact.token)
        line = (*who, fact.usage.status.value, currency)
        sums[(*line, "requests")] += 1
        sums[(*line, "input_tokens")] += fact.usage.input_tokens
        sums[(*line, "output_tokens")] += fact.usage.output_tokens
        sums[(*line, "amount")] += 0 if fact.cost is None else fact.cost.amount  # type: ignore[operator]
    assert +sums == found.sums


def _sums_of(rows: Iterable[Mapping[str, Any]]) -> Counter[Line]:
    sums = Counter[Line]()
    for row in rows:
        model = f"{row['provider']}/{row['model']}"
        who = (row["workspace"], row["day"].isoformat(), model, row["persona"], row["token"])
        for name in ("requests", "input_tokens", "output_tokens", "amount"):
            sums[(*who, row["status"], row["currency"], name)] += row[name]
    return +sums


def no_minute_holds_more(moments: Iterable[datetime], limit: int) -> None:
    """No sliding minute has more than `limit` of these."""
    window: list[datetime] = []
    for moment in sorted(moments):
        window = [*(one for one in window if one > moment - MINUTE), moment]
        assert len(window) <= limit, f"{len(window)} within a minute, {limit} are allowed"


# --- The provider's own books -----------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A request for an answer, as the provider has noted it."""

    at: datetime
    question: str
    """All that was said in it."""


def asked_of(log: Iterable[Mapping[str, Any]]) -> list[Asked]:
    """What a scripted provider's `GET /log` tells of requests for answers."""
    return [
        Asked(datetime.fromtimestamp(one["at"]).astimezone(), json.dumps(one["body"]))
        for one in log
        if one["path"].endswith("/chat/completions")
    ]


def the_provider_counts_no_more(found: Books, log: Sequence[Asked]) -> None:
    """`log`, read before the books: no request without an attempt that was stated before it."""
    for topic, (sent, _) in _requests(found).items():
        counted = _counted(topic, log)
        assert counted <= sent, f"{topic!r}: {counted} requests, {sent} attempts"


def the_provider_counts_no_less(found: Books, log: Sequence[Asked]) -> None:
    """`log`, read after the books: nothing is counted as a request that was none, but where
    nobody knows."""
    for topic, (sent, unknown) in _requests(found).items():
        counted = _counted(topic, log)
        assert sent - unknown <= counted, f"{topic!r}: {counted} requests, {sent} - {unknown} known"


def _requests(found: Books) -> dict[str, tuple[int, int]]:
    """By topic: the requests there may have been, and those of them that perhaps were not.

    Discussions on the same topic are counted together, those whose topic is part of another's not
    at all: a provider hears nothing else by which they could be told apart.
    """
    counts: dict[str, tuple[int, int]] = {}
    never, unknown = found.never_sent(), found.unknown()
    for story in found.stories.values():
        opened = story[0]
        assert isinstance(opened, DiscussionOpened)
        ids = {event.attempt for event in story if isinstance(event, AttemptStarted)} - never
        topic = json.dumps(opened.topic)[1:-1]
        sent, perhaps = counts.get(topic, (0, 0))
        counts[topic] = sent + len(ids), perhaps + len(ids & unknown)
    return {
        topic: count
        for topic, count in counts.items()
        if topic and not any(topic in other for other in counts if other != topic)
    }


def _counted(topic: str, log: Sequence[Asked]) -> int:
    return sum(topic in asked.question for asked in log)


def one_request_for_one_attempt(found: Books, made: Sequence[RunAttempt]) -> None:
    """What an adapter was asked: every attempt once at most, and none that was not stated."""
    times = Counter(request.attempt for request in made)
    assert not [id_ for id_, n in times.items() if n > 1], "one attempt was sent twice"
    stated = {event.attempt for event in found.started()}
    assert times.keys() <= stated, "a request that no fact speaks of"


# --- What callers see -------------------------------------------------------------------------


@dataclass
class Statuses:
    """Every answer that clients got over HTTP."""

    seen: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def hold(self) -> None:
        """Whatever is broken inside, nobody is told "internal error": they are told what to do.

        503 and 504 are answers for the time in which a part is away.
        """
        bad = [one for one in self.seen if one[0] >= 500 and one[0] not in {503, 504}]
        assert not bad, f"{bad} for what a client asked"
