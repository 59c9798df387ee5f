"""The judge of storms counts right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.storm import picture
from bench.storm.ledger import Request, Run, busiest, requests, table

STORM = Run(
    who="naive",
    fault="503",
    broke=10,
    mended=20,
    ended=30,
    asked=2,
    requests=[Request(at, chat=True) for at in (5, 10, 11, 19, 20, 29)],
    done=[21, 29],
)


@given(st.lists(st.floats(0, 300), max_size=40), st.floats(1, 100))
def test_the_busiest_minute_is_that_of_all_minutes(times: list[float], span: float) -> None:
    times.sort()
    most = max((sum(at - span < each <= at for each in times) for at in times), default=0)

    assert busiest(times, span) == most


def test_a_provider_s_log_is_read_in_the_order_of_time() -> None:
    entries = [
        {"at": 2.0, "path": "/v1/models", "status": 200},
        {"at": 1.0, "path": "/v1/chat/completions", "status": 503},
    ]

    assert requests(entries) == [Request(1.0, chat=True, status=503), Request(2.0, False, 200)]


def test_what_was_asked_in_the_fault_is_counted_apart() -> None:
    assert STORM.in_fault() == 3
    assert STORM.peak() == 6
    assert "| 2 of 2 |" in table([STORM]).replace("  ", " ").replace("  ", " ")
    assert "19 s" in table([STORM])


def test_the_picture_shows_each_fault_and_who_asked() -> None:
    drawn = picture.draw([STORM], 10)

    assert drawn.startswith("<svg")
    assert ">503<" in drawn
    assert "6 requests, all answered after 19 s" in drawn
