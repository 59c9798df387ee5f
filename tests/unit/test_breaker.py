"""A failing provider is left in peace, and one request at a time sees whether it is back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureClass
from services.discussion.breaker import (
    FIRST_REST,
    LONGEST_REST,
    TRIAL,
    WEIGHT,
    Breaker,
    Pass,
    Stay,
    ask,
    came_to_nothing,
    failed,
    send_to_see,
    succeeded,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DOWN = FailureClass.OVERLOADED


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def half() -> float:
    """Neither longer nor shorter."""
    return 0.5


def broken(times: int = 5, at: datetime = NOON) -> Breaker:
    breaker = Breaker()
    for number in range(times):
        breaker = failed(breaker, f"a{number}", DOWN, at, dice=half)
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    assert ask(broken(4), NOON) == Pass()
    assert ask(broken(5), NOON) == Stay(NOON + FIRST_REST)


def test_a_success_between_them_starts_the_row_anew() -> None:
    breaker = Breaker()
    for number in range(20):
        breaker = succeeded(breaker, f"s{number}", NOON)
    for fails in (4, 4):
        for number in range(fails):
            breaker = failed(breaker, f"f{number}", DOWN, NOON, dice=half)
        breaker = succeeded(breaker, "s", NOON)

    assert ask(breaker, NOON) == Pass()


def test_half_of_the_calls_within_a_minute_open_it() -> None:
    breaker = Breaker()
    for number in range(3):
        breaker = succeeded(breaker, f"s{number}", second(number))
    for number in range(3):
        breaker = failed(breaker, f"f{number}", DOWN, second(3 + number), dice=half)

    assert isinstance(ask(breaker, second(6)), Stay)


def test_what_happened_over_a_minute_ago_is_forgotten() -> None:
    breaker = failed(succeeded(broken(3), "s", NOON), "f", DOWN, second(75), dice=half)

    assert ask(breaker, second(75)) == Pass()


@pytest.mark.parametrize("class_", sorted(set(FailureClass) - WEIGHT.keys()))
def test_what_says_nothing_of_its_health_does_not_count(class_: FailureClass) -> None:
    breaker = Breaker()
    for number in range(20):
        breaker = failed(breaker, f"{number}", class_, NOON, dice=half)

    assert breaker == Breaker()


def test_one_request_for_the_whole_house_goes_to_see() -> None:
    rested = NOON + FIRST_REST
    assert ask(broken(), rested) == Pass(trial=True)

    out = send_to_see(broken(), "t", rested)

    assert ask(out, rested) == Stay(rested + TRIAL)
    assert ask(out, rested + TRIAL) == Pass(trial=True), "whoever was lost stops nobody for ever"


def test_two_successes_close_it() -> None:
    rested = NOON + FIRST_REST
    first = succeeded(send_to_see(broken(), "t", rested), "t", rested)
    assert ask(first, rested) == Pass(trial=True)

    assert succeeded(send_to_see(first, "u", rested), "u", rested) == Breaker()


def test_each_failed_look_doubles_the_rest() -> None:
    breaker, now, rests = broken(), NOON, list[timedelta]()
    for _ in range(8):
        assert breaker.open_until is not None
        rests.append(breaker.open_until - now)
        now = breaker.open_until
        breaker = failed(send_to_see(breaker, "t", now), "t", DOWN, now, dice=half)

    assert [rest.total_seconds() for rest in rests[:6]] == [10, 20, 40, 80, 160, 300]
    assert max(rests) == LONGEST_REST


def test_who_went_out_before_it_opened_changes_nothing() -> None:
    breaker = broken()

    assert succeeded(breaker, "old", NOON) == breaker
    assert failed(breaker, "old", DOWN, NOON, dice=half) == breaker


def test_a_look_that_comes_to_nothing_leaves_the_way_to_the_next() -> None:
    rested = NOON + FIRST_REST
    out = send_to_see(broken(), "t", rested)

    assert ask(came_to_nothing(out, "t"), rested) == Pass(trial=True)
    assert came_to_nothing(out, "other") == out
    throttled = failed(out, "t", FailureClass.THROTTLED, rested, dice=half)
    assert ask(throttled, rested) == Pass(trial=True)


@given(dice=st.floats(0, 1, exclude_max=True), rests=st.integers(0, 40))
def test_a_rest_is_spread_and_never_longer_than_five_minutes(dice: float, rests: int) -> None:
    breaker = Breaker(open_until=NOON, rests=rests, trial="t", trial_until=second(30))

    after = failed(breaker, "t", DOWN, NOON, dice=lambda: dice)

    assert after.open_until is not None
    assert timedelta(seconds=8) <= after.open_until - NOON <= LONGEST_REST


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 8), (0.5, 10), (1.0, 12)])
def test_a_rest_is_up_to_a_fifth_shorter_or_longer(dice: float, seconds: float) -> None:
    opened = Breaker()
    for number in range(5):
        opened = failed(opened, f"a{number}", DOWN, NOON, dice=lambda: dice)

    assert opened.open_until == NOON + timedelta(seconds=seconds)


def test_a_stream_that_broke_counts_half() -> None:
    breaker = succeeded(Breaker(), "s", NOON)
    for number in range(5):
        breaker = failed(breaker, f"m{number}", FailureClass.MIDSTREAM, NOON, dice=half)

    assert ask(breaker, NOON) == Pass(), "five of six, and not half of them"
    assert isinstance(ask(failed(breaker, "d", DOWN, NOON, dice=half), NOON), Stay)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["ask", "fail", "win", "lost"]), st.floats(0, 40)), max_size=80
    )
)
def test_never_two_out_to_see_and_never_shut_for_ever(steps: list[tuple[str, float]]) -> None:
    breaker, now = broken(), NOON
    out: str = ""
    since = NOON
    for number, (step, pause) in enumerate(steps):
        now += timedelta(seconds=pause)
        way = ask(breaker, now)
        if step == "ask" and way == Pass(trial=True):
            assert not out or now >= since + TRIAL
            out, since = f"t{number}", now
            breaker = send_to_see(breaker, out, now)
        elif step == "fail" and out:
            breaker, out = failed(breaker, out, DOWN, now, dice=half), ""
        elif step == "win" and out:
            breaker, out = succeeded(breaker, out, now), ""
        elif step == "lost" and out:
            breaker, out = came_to_nothing(breaker, out), ""
    assert isinstance(ask(breaker, now + LONGEST_REST + TRIAL), Pass)
