from __future__ import annotations

from services.provider_adapter.patience import ORDINARY, THINKING, Clockwork


def test_connecting_is_not_timed_here() -> None:
    assert Clockwork().lost(ORDINARY, 1e9) == ""


def test_a_model_that_thinks_may_be_silent_longer_before_it_begins() -> None:
    clock = Clockwork(sent=0)
    assert clock.lost(ORDINARY, 30) == ""
    assert clock.lost(ORDINARY, 31)
    assert clock.lost(THINKING, 120) == ""
    assert clock.lost(THINKING, 121)


def test_silence_is_silence_of_any_byte() -> None:
    clock = Clockwork(sent=0, heard=100, progressed=100)
    assert clock.lost(ORDINARY, 145) == ""
    assert clock.lost(ORDINARY, 146)


def test_bytes_without_progress_are_not_believed_for_ever() -> None:
    clock = Clockwork(sent=0, heard=200, progressed=80)
    assert clock.lost(ORDINARY, 200) == ""
    assert clock.lost(ORDINARY, 201)
    assert clock.lost(THINKING, 201) == ""


def test_a_finished_answer_waits_only_for_its_usage() -> None:
    assert not Clockwork(sent=0, heard=0).enough(ORDINARY, 999)
    assert not Clockwork(sent=0, heard=0, finished=10).enough(ORDINARY, 15)
    assert Clockwork(sent=0, heard=0, finished=10).enough(ORDINARY, 15.1)
