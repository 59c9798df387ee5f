"""What is tried again, when, and what never is."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import Evidence, FailureClass
from services.discussion.backoff import ORDINARY, THROTTLED, next_wait
from services.discussion.remedies import (
    MOST_FAILURES,
    MOST_SEEN,
    GiveUp,
    Park,
    Trouble,
    Wait,
    remedy,
)

KIMI = "kimi/kimi-k2.6"


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 30), (99, 30)])
def test_the_window_doubles_up_to_the_cap(failures: int, seconds: int) -> None:
    wait = next_wait(ORDINARY, failures=failures, dice=lambda: 1.0)

    assert wait == timedelta(seconds=seconds)


def test_no_wait_is_shorter_than_the_floor() -> None:
    assert next_wait(ORDINARY, failures=1, dice=lambda: 0.0) == ORDINARY.floor


def test_a_hint_is_a_floor_and_never_the_schedule() -> None:
    one = timedelta(seconds=1)

    assert next_wait(THROTTLED, failures=3, hint=one, dice=lambda: 1.0) == timedelta(seconds=8)
    assert next_wait(THROTTLED, failures=3, hint=timedelta(hours=2), dice=lambda: 1.0) == timedelta(
        hours=2
    )


@given(
    class_=st.sampled_from(FailureClass),
    hint=st.sampled_from(["", "expired", "lease", "context_length", "daily"]),
    asked=st.one_of(st.none(), st.floats(), st.just(math.nan), st.just(1e300), st.just(-5.0)),
    sent=st.booleans(),
    failures=st.integers(1, 10),
    dice=st.floats(0, 1, exclude_max=True),
)
def test_every_failure_has_a_remedy_and_no_wait_is_negative(
    class_: FailureClass, hint: str, asked: float | None, sent: bool, failures: int, dice: float
) -> None:
    verdict = remedy(
        Trouble(
            class_=class_,
            model=KIMI,
            hint=hint,
            evidence=Evidence(retry_after=asked),
            sent=sent,
            failures=failures,
            same_class=failures,
        ),
        dice=lambda: dice,
    )

    if isinstance(verdict, Wait):
        assert ORDINARY.floor <= verdict.wait <= timedelta(days=31)
        assert failures < MOST_FAILURES or not sent


@pytest.mark.parametrize("class_", [FailureClass.AUTH, FailureClass.BILLING, FailureClass.MODEL])
def test_what_waiting_cannot_mend_is_parked(class_: FailureClass) -> None:
    verdict = remedy(Trouble(class_=class_, model=KIMI), dice=lambda: 0.5)

    assert isinstance(verdict, Park)


@pytest.mark.parametrize(
    ("class_", "most"),
    [
        (FailureClass.TRANSIENT, 3),
        (FailureClass.OVERLOADED, 3),
        (FailureClass.THROTTLED, 3),
        (FailureClass.AMBIGUOUS, 2),
        (FailureClass.MIDSTREAM, 2),
        (FailureClass.UNKNOWN, 2),
        (FailureClass.REQUEST, 1),
    ],
)
def test_nothing_is_tried_more_often_than_is_sensible(class_: FailureClass, most: int) -> None:
    def after(failures: int) -> object:
        trouble = Trouble(class_=class_, model=KIMI, failures=failures, same_class=failures)
        return remedy(trouble, dice=lambda: 0.5)

    assert after(most) == GiveUp()
    if most > 1:
        assert isinstance(after(most - 1), Wait)


def test_an_answer_is_gone_on_with_once_and_then_begun_anew() -> None:
    def after(*, resumed: bool = False, heard_more: bool = True) -> object:
        trouble = Trouble(
            class_=FailureClass.MIDSTREAM,
            model=KIMI,
            goes_on=True,
            resumed=resumed,
            heard_more=heard_more,
        )
        return remedy(trouble, dice=lambda: 0.5)

    assert after() == Wait(timedelta(seconds=0.5), keep=True)
    assert after(resumed=True) == Wait(timedelta(seconds=0.5), keep=False)
    # Where nothing more was heard, nothing was tried: it may still go on.
    assert after(resumed=True, heard_more=False) == Wait(timedelta(seconds=0.5), keep=True)


def test_who_goes_to_see_for_all_is_none_the_poorer_for_what_it_found() -> None:
    trouble = Trouble(
        class_=FailureClass.THROTTLED,
        model=KIMI,
        evidence=Evidence(retry_after=7),
        failures=3,
        same_class=9,
        trial=True,
    )

    assert remedy(trouble, dice=lambda: 0.0) == Wait(timedelta(seconds=7))


def test_a_question_that_its_provider_always_fails_over_is_given_up_some_day() -> None:
    def seen(requests: int) -> object:
        return remedy(
            Trouble(class_=FailureClass.OVERLOADED, model=KIMI, requests=requests, trial=True),
            dice=lambda: 0.5,
        )

    assert isinstance(seen(MOST_SEEN - 1), Wait)
    assert seen(MOST_SEEN) == GiveUp()


def test_a_turn_that_an_account_refuses_again_and_again_is_given_up() -> None:
    """Alone on an account that is used up by others, it would ask for ever."""
    trouble = Trouble(class_=FailureClass.THROTTLED, model=KIMI, requests=4, trial=True)

    assert remedy(trouble, dice=lambda: 0.0) == GiveUp()
