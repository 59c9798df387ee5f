"""A panel that is asked like a model: what it does is told as thoughts, what comes of it is the
answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import json

from contracts.discussion_events import DiscussionEvent, TurnCompleted
from contracts.event import name_of
from contracts.modes import Mode, Options, Purpose, Role
from services.edge.feed import Feed
from services.edge.openai_words import DONE
from services.edge.panel import Panel
from tests.sittings import FOUR, Sitting, fails
from tests.talks import Talk
from tests.unit.test_completion import Told


async def heard(facts: Iterable[DiscussionEvent], mode: Mode) -> tuple[str, str]:
    """The thoughts and the answer of a client that streams."""
    feed, told = Feed(), Told()
    panel = Panel("chatcmpl-d", 7, f"panel/{mode.value}", with_usage=True)
    panel.attach(told)
    for fact in facts:
        panel.hear(feed.fact(feed.version + 1, name_of(fact), json.encode(fact)))
    whole = panel.result.result()
    assert isinstance(whole, TurnCompleted)
    assert told.text() == whole.text, "streamed or not, the answer is the same"
    assert told.text("reasoning_content") == whole.reasoning
    assert told.written.endswith(DONE)
    return whole.reasoning, whole.text


# --- Consensus --------------------------------------------------------------------------------


async def test_the_synthesis_is_the_answer_and_the_process_is_thought() -> None:
    sitting = Sitting(FOUR)
    sitting.play()

    thought, answer = await heard(sitting.log, Mode.CONSENSUS)

    assert answer.startswith("**Outcome: consensus.**\n\nThe common answer.")
    assert "### Agreed\n- They all hold with something. (Member" in answer
    assert "### Worth knowing, said by one" in answer
    assert "I hold with idea" not in answer
    for at in range(4):
        assert f"**Member {at}** drafts:\n\nI hold with idea {'abcd'[at]}" in thought
        assert f"**Member {at}** has voted." in thought
    assert "4 drafts are sealed" in thought
    assert "4 ballots; ahead is the draft of **Member 0** (condorcet)" in thought


async def test_a_split_shows_both_and_says_so() -> None:
    sitting = Sitting(("plain-a-abcd", "plain-b-bacd", "plain-c-abcd", "plain-d-bacd"))
    sitting.play()

    _, answer = await heard(sitting.log, Mode.CONSENSUS)

    assert answer.startswith("**Outcome: split.**")
    assert "idea a" in answer
    assert "idea b" in answer


async def test_who_stands_against_it_and_who_is_missing_is_named() -> None:
    five = ("stubborn-a-abcde", "plain-b-abcde", "plain-c-abcde", "plain-d-abcde-a", "plain-e")
    sitting = Sitting(five, fault=fails("dead", 4))
    sitting.play()

    thought, answer = await heard(sitting.log, Mode.CONSENSUS)

    assert answer.startswith("**Outcome: majority.**")
    assert "Member 4 took no part" in answer
    assert "**Member 3** dissents: What it says of a is wrong." in thought
    assert "### Dissent\n- What it says of a is wrong. (Member 3)" in answer


async def test_whose_draft_is_missing_did_not_vanish_because_it_is_called_like_another() -> None:
    talk = Talk(Mode.PARALLEL, "aa")
    talk.play(lambda seat, _: None if seat.participant == 0 else "My view.")

    _, answer = await heard(talk.facts, Mode.PARALLEL)

    assert "My view." in answer
    assert "_Without A: " in answer


# --- Debate -----------------------------------------------------------------------------------


async def test_what_the_moderator_says_last_is_the_answer() -> None:
    talk = debate()
    talk.play(lambda seat, _: f"{seat.purpose.value} {seat.round} of {seat.participant}")

    thought, answer = await heard(talk.facts, Mode.DEBATE)

    assert answer == "moderation 2 of 2"
    assert "answer 1 of 0" in thought


async def test_where_nobody_sums_it_up_what_was_said_last_is_the_answer() -> None:
    """The moderator fails in the second round: its word on the first is not the result."""
    talk = debate()
    talk.play(
        lambda seat, _: (
            None
            if seat.purpose is Purpose.MODERATION and seat.round == 2
            else f"{seat.purpose.value} {seat.round} of {seat.participant}"
        )
    )

    _, answer = await heard(talk.facts, Mode.DEBATE)

    assert "## A\n\nanswer 2 of 0" in answer
    assert "## B\n\nanswer 2 of 1" in answer
    assert "moderation" not in answer
    assert "_Without Chief: " in answer


async def test_a_round_of_nothing_new_leaves_the_word_on_the_one_before() -> None:
    talk = debate()
    talk.play(
        lambda seat, _: (
            "PASS"
            if seat.purpose is Purpose.ANSWER and seat.round == 2
            else f"{seat.purpose.value} {seat.round}"
        )
    )

    assert (await heard(talk.facts, Mode.DEBATE))[1] == "moderation 1"


def debate() -> Talk:
    return Talk(Mode.DEBATE, "ab", options=Options(rounds=2), other=Role.MODERATOR)
