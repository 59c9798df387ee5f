from __future__ import annotations

import pytest

from local.scripted.meter import Meter
from local.scripted.script import NAMED, BadScript, Script, Step, behaviour, inline, seconds


def test_a_behaviour_is_a_list_of_steps() -> None:
    assert behaviour("# a comment\nthink: Hm.\ntext: Yes;  no ; cut") == (
        Step("think", "Hm."),
        Step("text", "Yes;  no"),
        Step("cut"),
    )


@pytest.mark.parametrize("name", NAMED)
def test_every_named_behaviour_is_one(name: str) -> None:
    assert behaviour(f"like: {name}") == behaviour(NAMED[name])


@pytest.mark.parametrize("line", ["sing", "text", "cut: now", "like: nobody"])
def test_a_line_that_is_no_step_is_named(line: str) -> None:
    with pytest.raises(BadScript, match="no step"):
        behaviour(line)


def test_a_prompt_may_hold_a_behaviour() -> None:
    assert inline("Dear model, [[overloaded]] please") == behaviour(NAMED["overloaded"])
    assert inline("[[text: a ; cut]]") == (Step("text", "a"), Step("cut"))
    assert inline("Dear model") is None


def test_a_script_has_one_behaviour_for_each_request_and_the_last_stays() -> None:
    script = Script("text: first\n---\ntext: second\n")
    assert [script.take() for _ in range(3)] == [
        (Step("text", "first"),),
        (Step("text", "second"),),
        (Step("text", "second"),),
    ]
    assert Script().take() is None


def test_a_wait_has_a_unit() -> None:
    assert (seconds("250ms"), seconds("2s"), seconds("1.5 m")) == (0.25, 2, 90)
    with pytest.raises(BadScript):
        seconds("2")


# --- The account's own limits ---------------------------------------------------------------


def test_whatever_is_asked_counts_for_a_minute() -> None:
    meter = Meter(rpm=2)

    assert [bool(meter.count(at)) for at in (0, 1, 2, 61.5, 62.5)] == [
        False,
        False,
        True,  # and it counts as well
        False,
        False,
    ]
    assert meter.count(63)


def test_a_refusal_names_the_limit() -> None:
    meter = Meter(rpm=1, concurrency=3, running=3)
    places = behaviour(meter.count(0))
    rate = behaviour(meter.count(0))

    assert "max concurrency: 3" in places[0].rest
    assert "max RPM: 1" in rate[0].rest
