"""How long, how often and how many: what was promised of waiting, written down here once more.

Other tests reckon with the names of these numbers, so a slip in one of them would hide behind
itself. Where a number may be another one for a good reason, it is changed in both places.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.failures import FailureClass
from services.discussion import (
    admission,
    allowance,
    backoff,
    breaker,
    looks,
    probes,
    remedies,
    turns,
    wakeups,
)
from services.edge import hub, sse
from services.provider_adapter import keys, patience, seam, wire


def seconds(span: timedelta) -> float:
    return span.total_seconds()


def test_tries_of_one_turn() -> None:
    assert remedies.MOST_FAILURES == 3
    assert remedies.MOST_OF == {
        FailureClass.AMBIGUOUS: 2,
        FailureClass.MIDSTREAM: 2,
        FailureClass.UNKNOWN: 2,
    }
    assert remedies.MOST_REFUSED == 4


@pytest.mark.parametrize(
    ("policy", "first", "cap"), [(backoff.ORDINARY, 1, 30), (backoff.THROTTLED, 2, 60)]
)
def test_waits_between_them(policy: backoff.Backoff, first: float, cap: float) -> None:
    assert (seconds(policy.first), seconds(policy.cap)) == (first, cap)
    assert policy.floor == timedelta(milliseconds=200)


def test_the_purse_of_an_account() -> None:
    assert (allowance.MOST, allowance.BY_SUCCESS) == (10, 0.1)
    assert seconds(allowance.BY_ITSELF) == 30
    costs = {class_: allowance.cost_of(class_) for class_ in FailureClass}
    assert costs == dict.fromkeys(FailureClass, 1) | {FailureClass.THROTTLED: 0.35}
    assert allowance.cost_of(None) == 0


def test_the_breaker() -> None:
    assert seconds(breaker.WINDOW) == 60
    assert (breaker.LEAST_CALLS, breaker.FAILURE_RATE, breaker.IN_A_ROW) == (5, 0.5, 5)
    assert (seconds(breaker.FIRST_REST), seconds(breaker.LONGEST_REST)) == (10, 300)
    assert (breaker.SPREAD, seconds(breaker.TRIAL), breaker.ENOUGH) == (0.2, 30, 2)
    assert breaker.WEIGHT == {
        FailureClass.OVERLOADED: 1,
        FailureClass.TRANSIENT: 1,
        FailureClass.AMBIGUOUS: 1,
        FailureClass.UNKNOWN: 1,
        FailureClass.MIDSTREAM: 0.5,
    }


def test_admission() -> None:
    assert admission.JITTER == 2
    assert seconds(admission.LEASE) == 30
    assert seconds(admission.CLEAN) == 3600
    assert seconds(looks.EVERY) == seconds(remedies.LEAST_RESET) == 15 * 60
    assert (seconds(probes.SOONEST), seconds(probes.LATEST)) == (1, 60)


def test_one_attempt() -> None:
    ordinary, thinking = patience.ORDINARY, patience.THINKING
    assert seconds(ordinary.connect) == 5
    assert (seconds(ordinary.first_byte), seconds(thinking.first_byte)) == (30, 120)
    assert (seconds(ordinary.silence), seconds(thinking.silence)) == (45, 45)
    assert (seconds(ordinary.progress), seconds(thinking.progress)) == (120, 300)
    assert seconds(ordinary.pulse) == 10
    assert seconds(turns.ANSWER_WITHIN) == 600
    assert (seam.TAIL, seam.SHORTEST) == (200, 12)
    assert seconds(keys.LONGEST) == 300
    assert wire.LINE_LIMIT == 1 << 20


def test_nothing_sleeps_for_long() -> None:
    """What takes longer is a row in a table."""
    assert max(wakeups.POLL, wakeups.AGAIN, wakeups.LONGEST_AGAIN) <= timedelta(seconds=60)


def test_viewers() -> None:
    assert hub.HEARTBEAT == 15
    assert sse.RETRY == (3000, 6000)
