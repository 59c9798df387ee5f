"""What becomes of a discussion afterwards: renamed, deleted, found by its words, exported."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from contracts.attempts import Message, Parameters
from contracts.deliberation import ConsensusConcluded, DissentRecorded, Outcome, Point
from contracts.discussion import DiscussionState, DiscussionView, Post, TurnState, TurnView
from contracts.discussion_events import (
    AttemptStarted,
    DiscussionCancelled,
    DiscussionCompleted,
    DiscussionEvent,
    DiscussionOpened,
    Participant,
    TurnCancelled,
    TurnCompleted,
    TurnScheduled,
)
from contracts.keeping import DiscussionDeleted, DiscussionRenamed
from contracts.modes import Mode, Options
from contracts.prices import Cost
from contracts.stream import StreamCompleted, Usage
from services.discussion import aggregate
from services.discussion.aggregate import (
    Command,
    Delete,
    Discussion,
    Hear,
    NoSuchTurn,
    NotDue,
    NotOpened,
    Rename,
    Retry,
    StartAttempt,
)
from services.discussion.found import said_in, words_of
from services.discussion.views import view
from services.edge import answers, export
from tests.spec import Specification

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def decide(command: Command, state: Discussion) -> list[DiscussionEvent]:
    return aggregate.decide(command, state, now=NOON, dice=lambda: 0.5, new_id=lambda: "t1")


START: Discussion = NotOpened()
discussion = Specification(decide, aggregate.evolve, START)

opened = DiscussionOpened(
    at=NOON,
    discussion="d",
    workspace="w",
    mode=Mode.SINGLE,
    participants=[Participant(model="kimi/k", persona="ada", name="Ada")],
    parameters=Parameters(max_completion_tokens=0),
    title="Tea?",
    topic="Tea? Or coffee?",
    instructions={"ada": "You are Ada."},
)
scheduled = TurnScheduled(
    at=NOON, discussion="d", turn="t1", participant=0, persona="ada", model="kimi/k"
)
started = AttemptStarted(
    at=NOON,
    discussion="d",
    turn="t1",
    attempt="a1",
    number=1,
    provider="kimi",
    model="k",
    endpoint="e",
)
answered = TurnCompleted(
    at=NOON,
    discussion="d",
    turn="t1",
    attempt="a1",
    model="kimi/k",
    finish_reason="stop",
    usage=Usage(),
    text="Green TEA.",
    reasoning="Hmm.",
)
completed = DiscussionCompleted(at=NOON, discussion="d")
renamed = DiscussionRenamed(at=NOON, discussion="d", title="Drinks", renamed_by="mary")
deleted = DiscussionDeleted(at=NOON, discussion="d", deleted_by="mary")
whole = (opened, scheduled, started, answered, completed)


def test_deleting_what_runs_cancels_it_first() -> None:
    discussion.given(opened, scheduled, started).when(Delete(by="mary")).then(
        TurnCancelled(at=NOON, discussion="d", turn="t1"),
        DiscussionCancelled(at=NOON, discussion="d", cancelled_by="mary"),
        deleted,
    )


def test_what_is_over_is_deleted_once_and_nothing_comes_after_it() -> None:
    discussion.given(*whole).when(Delete(by="mary")).then(deleted)
    gone = discussion.given(*whole, deleted)
    gone.when(Delete(by="mary")).then_nothing()
    gone.when(Rename(title="Again")).then_nothing()
    gone.when(Retry(turn="t1")).then_rejected(NoSuchTurn)
    gone.when(StartAttempt(turn="t1", attempt="a2", endpoint="e")).then_rejected(NotDue)
    late = StreamCompleted(
        at=NOON,
        workspace="w",
        discussion="d",
        turn="t1",
        attempt="a1",
        text="late",
        finish_reason="stop",
        model="k",
        usage=Usage(),
    )
    gone.when(Hear(late)).then_nothing()


def test_a_new_title_changes_nothing_of_how_it_ended() -> None:
    discussion.given(*whole).when(Rename(title="Drinks", by="mary")).then(renamed)
    discussion.given(opened, scheduled).when(Rename(title="Drinks", by="mary")).then(renamed)

    told = view([*whole, renamed])
    assert (told.title, told.state, told.version) == ("Drinks", DiscussionState.COMPLETED, 6)


# --- Finding ------------------------------------------------------------------------------------


def test_title_question_and_answers_are_found_and_instructions_and_thinking_are_not() -> None:
    asked = DiscussionOpened(
        at=NOON,
        discussion="d",
        workspace="w",
        mode=Mode.SINGLE,
        participants=[],
        parameters=Parameters(max_completion_tokens=0),
        messages=[
            Message(role="system", content="Be terse."),
            Message(role="user", content=[{"type": "text", "text": "Größe\x00?"}]),
        ],
    )
    assert said_in(opened) == b"tea?\ntea? or coffee?"
    assert said_in(asked).strip() == "größe\x00?".encode()
    assert said_in(answered) == b"green tea."
    assert said_in(renamed) == b"drinks"
    assert said_in(scheduled) == said_in(completed) == b""


@pytest.mark.parametrize(
    ("q", "words"),
    [
        ("", []),
        ("  \n ", []),
        ("Green TEA", ["green", "tea"]),
        ('"Green tea" now', ["green tea", "now"]),
        ('"unclosed words', ["unclosed words"]),
        ('""', ['""']),
        ("日本 Größe", ["日本", "größe"]),
        ("a b c d e f g h i j", list("abcdefgh")),
        ("\ud800", ["?"]),
    ],
)
def test_a_search_is_words_and_phrases(q: str, words: list[str]) -> None:
    assert words_of(q) == [word.encode() for word in words]


# --- Exporting ----------------------------------------------------------------------------------

VIEW = DiscussionView(
    id="d",
    state=DiscussionState.COMPLETED,
    mode=Mode.COMPARE,
    title="Tea\n# or coffee?",
    topic="Tea?\nOr coffee?",
    created_at=NOON,
    updated_at=NOON,
    version=9,
    participants=[],
    turns=[
        TurnView(
            id="t1",
            model="kimi/k",
            name="Ada",
            state=TurnState.COMPLETED,
            attempts=1,
            text="**Tea.**",
            usage=Usage(output_tokens=7),
            cost=Cost(amount=Decimal("0.0004200")),
        ),
        TurnView(id="t2", model="openai/g", state=TurnState.CANCELLED, attempts=0),
    ],
    posts=[Post(id="p", at=NOON, text="Why?", by="mary", after="t1")],
)


def test_a_discussion_is_written_down_in_the_order_in_which_it_was_spoken() -> None:
    assert export.markdown(answers.discussion(VIEW)) == (
        "# Tea # or coffee?\n\n"
        "*compare, completed, 2026-01-01 12:00 UTC*\n\n"
        "## Question\n\n"
        "Tea?\nOr coffee?\n\n"
        "## Ada\n\n"
        "*kimi/k, 7 tokens, 0.00042 USD*\n\n"
        "**Tea.**\n\n"
        "## A person\n\n"
        "Why?\n\n"
        "## openai/g\n\n"
        "*openai/g, cancelled*\n\n"
        "*No answer.*\n"
    )


def test_a_blind_comparison_tells_no_names_before_the_pick() -> None:
    blind = replace(VIEW, options=Options(blind=True))
    text = export.markdown(answers.discussion(blind))
    assert "Ada" not in text
    assert "kimi" not in text
    assert "## Model A" in text
    picked = export.markdown(answers.discussion(replace(blind, picked="t1")))
    assert "## Ada (picked as the best)" in picked


def test_what_a_panel_came_to_stands_at_the_end() -> None:
    concluded = ConsensusConcluded(
        at=NOON,
        discussion="d",
        outcome=Outcome.MAJORITY,
        text="Drink tea.",
        agreed=[Point(text="It is\nwarm.")],
        contested=[Point(text="When.")],
    )
    dissent = DissentRecorded(
        at=NOON, discussion="d", id="x", member=1, draft="t1", kind="minority", claim="Coffee."
    )
    view = replace(VIEW, turns=[], posts=[], conclusion=concluded, dissents=[dissent])
    assert export.markdown(answers.discussion(view)).endswith(
        "## Outcome: majority\n\nDrink tea.\n\n### Agreed\n\n- It is warm.\n\n"
        "### Contested\n\n- When.\n\n### Dissent\n\n- Coffee.\n"
    )


@pytest.mark.parametrize(
    ("title", "name"),
    [("Größe? Yes!", "groe-yes.md"), ("日本", "discussion.md"), ("x" * 99, f"{'x' * 60}.md")],
)
def test_a_file_is_named_after_the_title(title: str, name: str) -> None:
    assert export.file_name(title, "md") == name
