"""A fork asks a turn again; of a blind comparison it must not tell who answered."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.discussion import ForkDiscussion, OpenDiscussion
from contracts.failures import Conflict
from contracts.modes import Mode, Options, Role
from services.discussion import forking
from services.discussion.aggregate import Pick
from tests.talks import Talk


def compare(*, blind: bool) -> Talk:
    talk = Talk(Mode.COMPARE, "ab", options=Options(blind=blind), other=Role.JUDGE)
    talk.play(lambda seat, _: f"answer {seat.participant}")
    return talk


def fork(talk: Talk, at: int, **more: Any) -> OpenDiscussion:
    turn = list(talk.over.turns)[at]
    command = ForkDiscussion(workspace="default", discussion="d", turn=turn, **more)
    return forking.wish(talk.facts, command)


def models(wish: OpenDiscussion) -> list[str | None]:
    return [who.model for who in wish.participants]


def test_a_turn_is_asked_again_of_its_own_model_or_of_another() -> None:
    talk = compare(blind=False)

    assert models(fork(talk, 1)) == ["kimi/b"]
    assert models(fork(talk, 1, model="kimi/c")) == ["kimi/c"]


@pytest.mark.parametrize("more", [{}, {"text": "Why?"}], ids=["anew", "with other words"])
def test_whose_name_is_hidden_is_not_asked_again_before_the_pick(more: dict[str, str]) -> None:
    talk = compare(blind=True)

    with pytest.raises(Conflict, match="hidden") as refused:
        fork(talk, 1, **more)

    problem = refused.value.problem
    assert "/pick" in problem.next_step
    assert "kimi/" not in f"{problem.detail} {problem.next_step}"


def test_a_model_or_a_persona_that_is_named_tells_nothing_of_the_hidden_one() -> None:
    talk = compare(blind=True)

    assert models(fork(talk, 1, model="kimi/c", text="Why?")) == ["kimi/c"]
    assert models(fork(talk, 1, persona="riley-engstrom")) == [None]


def test_after_the_pick_it_is_asked_again() -> None:
    talk = compare(blind=True)
    talk.do(Pick(turn=next(iter(talk.over.turns)), by="eve"))

    assert models(fork(talk, 1)) == ["kimi/b"]


def test_the_judge_is_known_and_so_is_everybody_where_nothing_can_be_picked_from() -> None:
    assert models(fork(compare(blind=True), 2)) == ["kimi/chief"]

    failed = Talk(Mode.COMPARE, "ab", options=Options(blind=True))
    failed.play(lambda _seat, _shown: None)
    assert models(fork(failed, 1)) == ["kimi/b"]
