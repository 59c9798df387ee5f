"""No sliding minute holds more tokens than the account may use, and no day either."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.discussion.spending import (
    DAY,
    Spending,
    forget,
    give_back,
    reserve,
    room_in_day,
    room_in_minute,
    settle,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(seconds=60)


@given(
    limit=st.integers(10, 5000),
    wants=st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 40), st.floats(0, 2)), max_size=40),
)
def test_no_sliding_minute_exceeds_the_limit(
    limit: int, wants: list[tuple[int, float, float]]
) -> None:
    """Asked greedily; each request reaches the provider's meter up to two seconds late."""
    spending, now, arrivals = Spending(), NOON, list[tuple[datetime, int]]()
    for tokens, pause, late in wants:
        cost = min(tokens, limit)
        if (until := room_in_minute(spending, limit, cost, now)) is not None:
            assert now < until <= now + timedelta(seconds=64)
            now = until
        assert room_in_minute(spending, limit, cost, now) is None, "the time named must be true"
        spending = reserve(spending, cost, now)
        arrivals.append((now + timedelta(seconds=late), cost))
        now += timedelta(seconds=pause)
    arrivals.sort()
    for end, _ in arrivals:
        window = sum(cost for at, cost in arrivals if end - MINUTE < at <= end)
        assert window <= limit


def test_the_record_stays_small() -> None:
    spending, now = Spending(), NOON
    for _ in range(10_000):
        spending = reserve(spending, 1, now)
        now += timedelta(milliseconds=100)

    assert len(spending.minute) <= 33


def test_a_day_ends_at_midnight() -> None:
    spending = reserve(Spending(), 100, NOON)

    assert room_in_day(spending, 100, 1, NOON) == datetime(2026, 1, 2, tzinfo=UTC)
    assert room_in_day(spending, 100, 100, NOON + DAY / 2) is None


def test_a_clock_that_is_put_back_takes_nothing_off_the_bill() -> None:
    spending = reserve(Spending(), 100, NOON)

    earlier = forget(spending, NOON - timedelta(hours=13))

    assert room_in_minute(earlier, 100, 1, NOON - timedelta(hours=13)) is not None
    assert earlier.of_day == 100


def test_what_was_never_sent_is_on_no_bill() -> None:
    spending = give_back(reserve(Spending(), 70, NOON), 70, NOON)

    assert room_in_minute(spending, 70, 70, NOON) is None
    assert spending.of_day == 0


def test_the_day_is_billed_what_was_used_and_the_minute_what_was_reserved() -> None:
    spending = settle(reserve(Spending(), 1_000, NOON), 1_000, 40, NOON)

    assert spending.of_day == 40
    assert room_in_minute(spending, 1_000, 1, NOON) is not None
