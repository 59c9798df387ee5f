"""One prompt, several models side by side; a judge who reads, and a person who picks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contracts.attempts import Message
from contracts.deliberation import TurnOverdue, WinnerPicked
from contracts.discussion_events import DiscussionCompleted, TurnCancelled, TurnScheduled
from contracts.modes import Mode, Options, Purpose, Role
from services.discussion.aggregate import LosePatience, NothingToPick, Pick, Say
from services.discussion.modes.table import Seat
from services.discussion.views import view
from services.edge import answers
from tests.talks import NOON, Talk, said


def compare(names: str = "aab", *, judge: bool = False, **options: Any) -> Talk:
    other = Role.JUDGE if judge else None
    return Talk(Mode.COMPARE, names, options=Options(**options), other=other)


def answer(seat: Seat, _: list[Message]) -> str:
    return f"answer {seat.participant}"


def test_all_are_asked_at_once_the_same_model_twice_if_wished() -> None:
    talk = compare()

    assert len(talk.waiting()) == 3
    talk.play(answer)
    shown = list(talk.shown.values())
    assert shown[0] == shown[1] == shown[2] == [Message(role="user", content="Tea or coffee?")]


def test_a_judge_reads_the_answers_under_letters_and_not_under_names() -> None:
    talk = compare("abc", judge=True)

    talk.play(lambda seat, shown: None if seat.participant == 1 else answer(seat, shown))

    *_, judged = talk.of(TurnScheduled)
    assert judged.purpose is Purpose.JUDGEMENT
    assert list(judged.labels) == ["A", "B"]
    shown = said(list(talk.shown.values())[-1])
    assert "answer 0" in shown
    assert "answer 2" in shown
    assert "kimi/" not in shown
    assert len(talk.of(DiscussionCompleted)) == 1


def test_one_answer_needs_no_judge() -> None:
    talk = compare("ab", judge=True)

    talk.play(lambda seat, shown: None if seat.participant else answer(seat, shown))

    assert all(turn.seat.purpose is Purpose.ANSWER for turn in talk.over.turns.values())


def test_a_winner_is_picked_and_may_be_picked_anew() -> None:
    talk = compare("ab", blind=True)
    talk.play(answer)
    first, second = talk.over.turns

    talk.do(Pick(turn=first, by="eve"))
    assert talk.do(Pick(turn=first, by="eve")) == []
    talk.do(Pick(turn=second, by="eve"))

    assert [(pick.turn, pick.blind) for pick in talk.of(WinnerPicked)] == [
        (first, True),
        (second, False),
    ]
    assert view(talk.facts).picked == second


def test_only_a_whole_answer_can_be_picked() -> None:
    talk = compare("ab")
    waiting = talk.waiting()[0]

    with pytest.raises(NothingToPick):
        talk.do(Pick(turn=waiting.turn))


def test_names_are_hidden_until_somebody_has_picked() -> None:
    talk = compare("ab", blind=True)
    talk.play(answer)

    hidden = answers.discussion(view(talk.facts))
    talk.do(Pick(turn=hidden.turns[0].id))
    told = answers.discussion(view(talk.facts))

    assert {turn.model for turn in hidden.turns} == {"hidden"}
    assert [turn.name for turn in hidden.turns] == ["Model A", "Model B"]
    assert {who.model for who in hidden.participants} == {"hidden"}
    assert [turn.model for turn in told.turns] == ["kimi/a", "kimi/b"]


def test_a_message_is_answered_by_each_on_its_own_ground() -> None:
    talk = compare("ab")
    talk.play(answer)

    talk.do(Say(message="m", text="Why?"))
    talk.play(answer)

    last = list(talk.shown.values())[-1]
    assert [message.role for message in last] == ["user", "assistant", "user"]
    assert [message.content for message in last] == ["Tea or coffee?", "answer 1", "Why?"]
    assert len(talk.of(DiscussionCompleted)) == 2


def test_who_is_waited_for_too_long_is_left_behind() -> None:
    talk = compare("ab", patience=60)
    first, second = talk.waiting()
    assert talk.of(TurnScheduled)[0].overdue_at == NOON + timedelta(seconds=60)
    talk.speak(first.turn, "answer")

    talk.do(LosePatience(turn=second.turn))

    assert [fact.turn for fact in talk.of(TurnOverdue)] == [second.turn]
    assert [fact.turn for fact in talk.of(TurnCancelled)] == [second.turn]
    assert talk.of(DiscussionCompleted)[0].failed == [second.turn]
