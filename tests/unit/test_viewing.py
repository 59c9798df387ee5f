from __future__ import annotations

import json

import msgspec
import pytest

from contracts.discussion_events import DISCUSSION_EVENTS
from contracts.stream import StreamChunk
from local.api import Sent
from local.viewing import Discussion
from tests.contract_examples import golden_file


def sent(name: str, **data: object) -> Sent:
    return Sent(name, json.dumps(data))


def watching(*events: Sent) -> Discussion:
    discussion = Discussion()
    for event in (
        sent("TurnScheduled", turn="t", participant=0, persona="ada", model="local/m"),
        sent("AttemptStarted", turn="t", attempt="a", provider="local", model="m"),
        *events,
    ):
        discussion.see(event)
    return discussion


def chunk(offset: int, text: str) -> Sent:
    return sent("StreamChunk", turn="t", attempt="a", kind="text", offset=offset, text=text)


@pytest.mark.parametrize("fact", [*DISCUSSION_EVENTS.classes, StreamChunk])
def test_whatever_happens_can_be_watched(fact: type[msgspec.Struct]) -> None:
    discussion = watching()

    discussion.see(Sent(fact.__name__, golden_file(fact).read_text()))

    assert "t" in discussion.turns


def test_text_is_put_together_by_its_offsets() -> None:
    assert watching(chunk(0, "To"), chunk(2, "day")).turns["t"].text == "Today"


def test_offsets_count_code_points() -> None:
    assert watching(chunk(0, "🍞🥖"), chunk(2, "!")).turns["t"].text == "🍞🥖!"


def test_a_doubled_piece_changes_nothing() -> None:
    assert watching(chunk(0, "To"), chunk(0, "To"), chunk(1, "oday")).turns["t"].text == "Today"


def test_a_missing_piece_shows_until_the_next_snapshot() -> None:
    discussion = watching(chunk(0, "To"), chunk(5, "!"))
    assert discussion.turns["t"].gap

    discussion.see(sent("TurnText", turn="t", attempt="a", text="Today!"))
    discussion.see(chunk(6, " Yes."))

    assert not discussion.turns["t"].gap
    assert discussion.turns["t"].text == "Today! Yes."


def test_after_a_lost_connection_live_text_counts_from_the_snapshot_on() -> None:
    discussion = watching(chunk(0, "To"), sent("lost"), chunk(2, "morrow"))

    assert discussion.turns["t"].text == "To"


def test_a_restarted_turn_begins_empty() -> None:
    assert watching(chunk(0, "Tod"), sent("TurnRestarted", turn="t")).turns["t"].text == ""


def test_the_completed_text_is_the_truth() -> None:
    completed = sent(
        "TurnCompleted", turn="t", attempt="a", text="Today.", model="local/m", usage={}
    )
    turn = watching(chunk(0, "Tod"), completed).turns["t"]

    assert (turn.state, turn.text) == ("completed", "Today.")


def test_a_discussion_is_parked_when_nothing_goes_on_by_itself() -> None:
    failure = {
        "class": "auth", "title": "t", "detail": "d", "next_step": "n", "retryable": True,
    }  # fmt: skip
    parked = sent("TurnParked", turn="t", failure=failure, gate="key:kimi")

    assert watching(parked).parked
    assert not watching().parked


def test_the_end_says_how_it_ended() -> None:
    discussion = watching(sent("end", state="failed"))

    assert discussion.ended
    assert discussion.state == "failed"


def test_it_is_known_what_a_turn_is_for_and_whether_it_came_too_late() -> None:
    discussion = watching(
        sent("TurnScheduled", turn="r", participant=0, persona="ada", purpose="review", round=2),
        sent("TurnOverdue", turn="r"),
    )

    review = discussion.turns["r"]
    assert (review.purpose, review.round, review.overdue) == ("review", 2, True)
    assert not discussion.turns["t"].overdue


def test_what_is_tried_again_begins_empty() -> None:
    failed = sent("TurnFailed", turn="t", failure=None, text="Tod")
    turn = watching(failed, sent("TurnReopened", turn="t")).turns["t"]

    assert (turn.state, turn.text) == ("scheduled", "")


def test_what_people_said_and_picked_is_known() -> None:
    discussion = watching(
        sent("MessagePosted", message="m", text="And milk?"),
        sent("StopDecided", rule="posted", round=4),
        sent("WinnerPicked", turn="t"),
    )

    assert discussion.posts == ["And milk?"]
    assert discussion.stopped_by == "posted"
    assert discussion.picked == "t"


def test_the_outcome_of_a_panel_is_known() -> None:
    discussion = watching(sent("ConsensusConcluded", outcome="split", text="Tea, or coffee."))

    assert discussion.outcome == "split"
    assert discussion.conclusion == "Tea, or coffee."
