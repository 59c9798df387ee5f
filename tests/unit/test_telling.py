"""What the terminal tells of a discussion besides its answers: who speaks, rounds, outcomes."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from contracts.event import Event, name_of
from contracts.modes import Mode, Options
from local.api import Sent
from local.ask import Question
from local.telling import Watching
from services.discussion.aggregate import Conclude, Pick, Say
from tests.sittings import FOUR, Sitting
from tests.talks import Talk


def told(facts: list[Event], *, answers: bool = True) -> str:
    watching = Watching(answers=answers)
    out = io.StringIO()
    console = Console(file=out, width=100)
    for version, fact in enumerate(facts, 1):
        sent = Sent(name_of(fact), msgspec.json.encode(fact).decode(), str(version))
        for each in watching.see(sent):
            console.print(each)
    return out.getvalue()


def debate() -> Talk:
    talk = Talk(Mode.DEBATE, "ab", options=Options(rounds=2))
    talk.speak(talk.waiting()[0].turn, "First.")
    talk.do(Say(message="m", text="Think of the costs.", by="eve"))
    talk.speak(talk.waiting()[0].turn, "Second.")
    talk.do(Conclude(by="eve"))
    talk.play(lambda _seat, _shown: "More.")
    return talk


@pytest.mark.parametrize("answers", [True, False])
def test_what_people_say_and_the_rounds_are_told_whoever_shows_the_answers(answers: bool) -> None:
    said = told(list(debate().facts), answers=answers)

    assert "Round 1" in said
    assert "From the room: Think of the costs." in said
    assert "No further round: somebody ended it." in said
    assert ("First." in said) is answers


def test_the_outcome_of_a_panel_is_told() -> None:
    sitting = Sitting(FOUR)
    sitting.play()

    said = told(list(sitting.log), answers=False)

    assert "4 drafts are sealed" in said
    assert "Outcome: consensus" in said


def test_the_pick_is_told() -> None:
    talk = Talk(Mode.COMPARE, "ab")
    talk.play(lambda _seat, _shown: "Yes.")
    talk.do(Pick(turn=list(talk.over.turns)[1], by="eve"))

    assert "The answer of B was picked." in told(list(talk.facts))


def test_a_budget_goes_with_the_question() -> None:
    assert Question("Tea?", budget="0.50").body()["options"] == {"budget": "0.50"}
    assert Question("Tea?", temperature=0).body()["options"] == {"temperature": 0}
