"""A replay keeps the rhythm of what happened, and lets nobody wait for long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.api import Problem
from local.discussion_commands import turn_of
from local.replaying import LONGEST, PAUSE, pauses

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(*seconds: float) -> list[datetime | None]:
    return [NOON + timedelta(seconds=each) for each in seconds]


def test_a_short_discussion_is_played_at_its_own_pace() -> None:
    assert pauses(at(0, 1, 1.5)) == [0, 1, 0.5]


def test_twice_as_fast_is_half_the_time() -> None:
    assert pauses(at(0, 1, 1.5), speed=2) == [0, 0.5, 0.25]


def test_what_has_no_time_comes_with_the_one_before() -> None:
    assert pauses([*at(0), None, *at(1)]) == [0, 0, 1]


@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), max_size=60))
def test_nobody_waits_for_long(times: list[datetime | None]) -> None:
    waits = pauses(times)

    assert len(waits) == len(times)
    assert all(0 <= wait <= PAUSE.total_seconds() for wait in waits)
    assert sum(waits) <= LONGEST.total_seconds() + 0.001


TURNS = [
    {"id": "t1", "persona": "ada", "name": "Ada", "model": "local/m"},
    {"id": "t2", "persona": "bob", "name": "Bob", "model": "local/m"},
    {"id": "t3", "persona": "ada", "name": "Ada", "model": "local/m"},
]


@pytest.mark.parametrize(
    ("told", "meant"), [("2", "t2"), ("t1", "t1"), ("ada", "t3"), ("Bob", "t2"), ("local/m", "t3")]
)
def test_a_turn_is_meant_by_number_name_or_id(told: str, meant: str) -> None:
    assert turn_of([*TURNS], told) == meant


@pytest.mark.parametrize("told", ["0", "4", "eve", ""])
def test_who_names_no_turn_is_told_which_there_are(told: str) -> None:
    with pytest.raises(Problem, match="1 Ada, 2 Bob, 3 Ada"):
        turn_of([*TURNS], told)
