"""How long a panel takes, told before it begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.providers import Limits
from services.discussion.admission import Account, Admitted, Ask, Denied, TooLarge, admit, silence
from services.discussion.estimate import Line, Wanted, takes

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHORT = Wanted(tokens=1_200, longest=1_024)
PANEL = [SHORT] * 5


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def seconds(
    limits: Limits,
    turns: list[Wanted] = PANEL,
    *,
    account: Account | None = None,
    key: str = "",
    ahead: int = 0,
) -> float | None:
    line = Line(account=account or Account(), limits=limits, key=key, ahead=ahead)
    span = takes(line, [turns], NOON)
    return None if span is None else span.total_seconds()


def test_where_there_is_room_a_panel_takes_as_long_as_one_answer() -> None:
    assert seconds(Limits()) == seconds(Limits(), [SHORT]) == 10


def test_on_the_smallest_account_one_speaks_after_the_other() -> None:
    alone = seconds(Limits(rpm=3, concurrency=1))

    assert alone is not None
    assert 80 < alone < 120, "four waits of twenty seconds, and an answer"


def test_one_place_makes_a_line() -> None:
    assert seconds(Limits(concurrency=1)) == 50


def test_who_stands_in_line_goes_first() -> None:
    assert seconds(Limits(concurrency=1), [SHORT], ahead=3) == 40


def test_a_key_that_has_not_answered_yet_runs_alone_once() -> None:
    assert seconds(Limits(concurrency=5), key="k:1") == 20


def test_a_silence_is_waited_for() -> None:
    account = silence(Account(), second(60), "throttled")

    assert seconds(Limits(), [SHORT], account=account) == 70


def test_tokens_are_waited_for() -> None:
    told = seconds(Limits(tpm=3_000))

    assert told is not None
    assert told > 120, "two a minute"


def test_what_never_fits_has_no_time() -> None:
    assert seconds(Limits(tpm=1_000)) is None


@given(
    rpm=st.none() | st.integers(1, 200),
    concurrency=st.none() | st.integers(1, 8),
    tpm=st.none() | st.integers(1_200, 20_000),
    panel=st.integers(1, 8),
)
def test_it_is_what_admission_does(
    rpm: int | None, concurrency: int | None, tpm: int | None, panel: int
) -> None:
    """Played with the real rules: ask, wait as told or until somebody leaves, end in its time."""
    limits = Limits(rpm=rpm, concurrency=concurrency, tpm=tpm)
    account, now, ends = Account(), NOON, list[datetime]()
    for number in range(panel):
        verdict = None
        while not isinstance(verdict, Admitted):
            running = [str(place) for place, end in enumerate(ends) if end > now]
            kept = tuple(lease for lease in account.leases if lease.attempt in running)
            account = replace(account, leases=kept)
            ask = Ask(attempt=str(number), tokens=SHORT.tokens)
            verdict = admit(account, limits, ask, now=now, holds=timedelta(hours=1))
            assert not isinstance(verdict, TooLarge)
            if isinstance(verdict, Denied):
                now = min([verdict.not_before, *(end for end in ends if end > now)])
        account = verdict.account
        ends.append(now + SHORT.takes)

    told = takes(Line(account=Account(), limits=limits), [[SHORT] * panel], NOON)

    assert told is not None
    assert abs((max(ends) - NOON) - told) <= timedelta(seconds=1)
