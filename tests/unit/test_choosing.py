"""Where several keys share the work, each request goes to the one that can take it soonest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.discussion.choosing import Offer, choose

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=3)


def test_the_soonest_is_taken() -> None:
    offers = [Offer(key="k2", ready_at=LATER), Offer(key="k1", ready_at=NOW, running=7)]
    assert choose(offers) == "k1"


def test_of_two_that_are_ready_the_less_busy_one() -> None:
    offers = [Offer(key="k2", ready_at=NOW, running=2), Offer(key="k1", ready_at=NOW, running=1)]
    assert choose(offers) == "k1"


def test_of_two_alike_the_newest() -> None:
    assert choose([Offer(key="k2", ready_at=NOW), Offer(key="k1", ready_at=NOW)]) == "k2"


def test_one_that_is_shut_out_waits_behind_one_that_only_has_to_wait() -> None:
    offers = [Offer(key="k2", ready_at=NOW, barred=True), Offer(key="k1", ready_at=LATER)]
    assert choose(offers) == "k1"


def test_where_all_are_shut_out_there_is_still_one_to_be_parked_for() -> None:
    offers = [
        Offer(key="k2", ready_at=NOW, barred=True),
        Offer(key="k1", ready_at=NOW, barred=True),
    ]
    assert choose(offers) == "k2"
