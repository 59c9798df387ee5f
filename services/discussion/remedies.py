"""What is done about a failed attempt: wait, park, or give up. A pure decision.

Nothing permanent is tried again, whatever the clock says: what a person must mend is parked until
it is mended. What passes by itself waits, three requests a turn at most. A wait that the provider
asks for is obeyed, however long: it is a row in a table, and nothing sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.failures import Evidence, FailureClass
from contracts.providers import PROVIDERS
from services.discussion import spending
from services.discussion.backoff import SNOOZE, Dice, asked_for, next_wait, policy_of
from services.discussion.breaker import WEIGHT

SEEN_FOR_ALL = frozenset({*WEIGHT, FailureClass.THROTTLED})
"""What whoever goes to see finds out for everybody: it costs that turn none of its tries."""

MOST_FAILURES = 3
"""Failures of one turn, the first included, before it is given up."""

MOST_REFUSED = 4
"""Requests of one turn that an account may refuse for its rate. Going to see for all costs a turn
none of its tries, but where nobody else waits it would go for ever."""

MOST_SEEN = 24
"""Requests of one turn that goes to see for all whether its provider is back: an hour and a half of
rests where nobody else waits. What its provider always fails over would be asked for ever."""

MOST_OF: dict[FailureClass, int] = {
    # Perhaps it was done and charged: once more, never twice.
    FailureClass.AMBIGUOUS: 2,
    FailureClass.MIDSTREAM: 2,
    FailureClass.UNKNOWN: 2,
}

OURS = frozenset({"expired", "lease", "busy", "unreachable"})
"""Hints that say the provider was never asked: a snooze, which costs the turn nothing."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after this long."""

    wait: timedelta
    keep: bool = False
    """What was heard stands, and the next attempt goes on from there."""


@dataclass(frozen=True, slots=True)
class Park:
    """No timer: an event wakes it. `gate` says which, `key:kimi` for any key of kimi."""

    gate: str
    wait: timedelta | None = None
    """Unless the provider has named the time at which it opens again."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The turn fails, its partial text kept."""


Remedy = Wait | Park | GiveUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A failed attempt and what the turn has been through before it."""

    class_: FailureClass
    model: str
    """`provider/model`"""
    evidence: Evidence = Evidence()
    hint: str = ""
    now: datetime = datetime.min.replace(tzinfo=UTC)
    """When it failed: a day's limit ends with the day."""
    sent: bool = True
    failures: int = 1
    """Failures of the turn so far, this one included, snoozes not."""
    requests: int = 1
    """Of the turn so far, this one included."""
    same_class: int = 1
    """Those of this class, this one included."""
    trial: bool = False
    """It had gone to see whether a failing provider is back, for all who wait."""
    goes_on: bool = False
    """What has been heard of the answer so far is the beginning of one, and the model can go on
    from it."""
    resumed: bool = False
    """The attempt had itself gone on from what an earlier one had said."""
    heard_more: bool = True
    """Something was heard that was not known before."""


def remedy(trouble: Trouble, *, dice: Dice) -> Remedy:
    """The one place that decides whether a turn is tried again, and when."""
    if (not trouble.sent and trouble.hint in OURS) or (
        trouble.trial and trouble.class_ in SEEN_FOR_ALL and trouble.hint != "cancelled"
    ):
        hint = asked_for(trouble.evidence) if trouble.sent else None
        most = MOST_REFUSED if trouble.class_ is FailureClass.THROTTLED else MOST_SEEN
        if trouble.sent and trouble.requests >= most:
            return GiveUp()
        wait = next_wait(SNOOZE, failures=trouble.same_class, hint=hint, dice=dice)
        return Wait(wait, keep=trouble.goes_on)
    match trouble.class_:
        case FailureClass.AUTH | FailureClass.BILLING | FailureClass.MODEL:
            gate = gate_of(trouble.class_, trouble.model)
            return Park(gate, reset_in(trouble.class_, trouble.evidence))
        case FailureClass.REQUEST if trouble.resumed and trouble.hint != "content_filter":
            # It does not take the beginning of an answer after all: begin anew.
            return Wait(next_wait(policy_of(trouble.class_), failures=1, dice=dice))
        case FailureClass.REQUEST:
            return GiveUp()
        case FailureClass.MIDSTREAM if trouble.hint == "cancelled":
            return GiveUp()
        case class_:
            most = min(MOST_FAILURES, MOST_OF.get(class_, MOST_FAILURES))
            if trouble.failures >= MOST_FAILURES or trouble.same_class >= most:
                return GiveUp()
            wait = next_wait(
                policy_of(class_),
                failures=trouble.failures,
                hint=_day_ends_in(trouble, dice) or asked_for(trouble.evidence),
                dice=dice,
            )
            # Once only: what breaks off twice is not mended by going on.
            keep = trouble.goes_on and not (trouble.resumed and trouble.heard_more)
            return Wait(wait, keep=keep)


LEAST_RESET = timedelta(minutes=15)
"""A quota is not looked at again sooner, whatever was named: "after 1 seconds" is said of empty
accounts too."""


def reset_in(class_: FailureClass, evidence: Evidence) -> timedelta | None:
    """When a quota is there again, if the provider said so: the end of a plan's window."""
    asked = asked_for(evidence) if class_ is FailureClass.BILLING else None
    return None if asked is None else max(asked, LEAST_RESET)


SHORT = timedelta(seconds=120)
"""No provider's day is over so soon: such a wait is that of the minute, said by rote."""

TURN_OF_DAY = timedelta(seconds=60)
"""Spread over this long after midnight, since the provider's clock may be late, and others wait."""


def _day_ends_in(trouble: Trouble, dice: Dice) -> timedelta | None:
    """The wait where a day's limit is used up: as the provider says, or until midnight UTC."""
    if trouble.class_ is not FailureClass.THROTTLED or trouble.hint != "daily":
        return None
    row = PROVIDERS.get(trouble.model.partition("/")[0])
    asked = asked_for(trouble.evidence)
    if asked is not None and (asked > SHORT or (row is not None and row.rolling_day)):
        return asked
    midnight = spending.day_of(trouble.now) + spending.DAY
    return midnight - trouble.now + TURN_OF_DAY * dice()


def gate_of(class_: FailureClass, model: str) -> str:
    """What a turn on `model` that failed so is parked for."""
    provider = model.partition("/")[0]
    match class_:
        case FailureClass.MODEL:
            return f"model:{provider}"
        case FailureClass.BILLING:
            return f"billing:{provider}"
        case _:
            return f"key:{provider}"
