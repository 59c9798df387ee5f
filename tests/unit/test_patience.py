from __future__ import annotations

import pytest

from contracts.providers import PROVIDERS
from services.provider_adapter.patience import ORDINARY, THINKING, Clockwork, Patience
from services.provider_adapter.running import Rules


def test_connecting_is_not_timed_here() -> None:
    assert Clockwork().lost(ORDINARY, 1e9) == ""


def test_a_model_that_thinks_may_be_silent_longer_before_it_begins() -> None:
    clock = Clockwork(sent=0)
    assert clock.lost(ORDINARY, 30) == ""
    assert clock.lost(ORDINARY, 31)
    assert clock.lost(THINKING, 120) == ""
    assert clock.lost(THINKING, 121)


@pytest.mark.parametrize(
    ("provider", "thinks", "patience"),
    [("kimi", False, ORDINARY), ("kimi", True, THINKING), ("local", False, THINKING),
     ("ollama", False, THINKING)],
)  # fmt: skip
def test_a_machine_of_ones_own_may_read_as_long_as_others_think(
    provider: str, thinks: bool, patience: Patience
) -> None:
    """Four drafts take a small machine that has other work more than half a minute to read."""
    assert Rules().patience(PROVIDERS[provider], thinks=thinks) is patience


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
