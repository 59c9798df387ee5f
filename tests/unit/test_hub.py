"""A viewer sees every fact once and in order, and text without gap or overlap, however it came."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.discussion import DiscussionState
from contracts.stream import ChunkKind, StreamChunk
from services.edge import feed as feed_module
from services.edge.feed import Fact, Feed, Live, Output, TurnText
from services.edge.live import put_together
from tests.stories import Story, feed_all, refill, stories

# --- A viewer that keeps books --------------------------------------------------------------


@dataclass(eq=False)
class Viewer:
    """Checks what it is shown; what it holds survives a reconnection."""

    version: int = 0
    text: dict[str, str] = field(default_factory=dict[str, str])
    """By attempt, whatever became of it."""

    def see(self, items: Iterable[Output]) -> None:
        for item in items:
            match item:
                case Fact():
                    assert item.version == self.version + 1, "ids are contiguous"
                    self.version = item.version
                case Live(chunk=chunk):
                    held = self.text.get(chunk.attempt, "")
                    assert chunk.offset == len(held), "no gap and no overlap"
                    self.text[chunk.attempt] = held + chunk.text
                case TurnText():
                    self.text[item.attempt] = item.said.get(ChunkKind.TEXT, "")


# --- Rules ----------------------------------------------------------------------------------


@given(stories(), st.randoms(use_true_random=False))
def test_whatever_the_order_every_fact_comes_once_and_in_order(
    story: Story, dice: random.Random
) -> None:
    order = story.published() * 2  # and everything twice
    dice.shuffle(order)
    feed, viewer = Feed(), Viewer()

    viewer.see(feed_all(feed, story, order))

    assert viewer.version == len(story.facts)
    assert feed.state is DiscussionState.COMPLETED
    assert all(story.texts[attempt].startswith(held) for attempt, held in viewer.text.items()), (
        "text is never invented"
    )


@given(stories(), st.randoms(use_true_random=False))
def test_readers_that_drop_and_reconnect_lose_nothing_and_see_nothing_twice(
    story: Story, dice: random.Random
) -> None:
    # Facts in order and the text of an attempt in order, but interleaved at will.
    facts = [one for one in story.published() if one[0] == "fact"]
    chunks = [one for one in story.published() if one[0] == "chunk"]
    feed = Feed()
    watching: list[Viewer] = []
    away: list[Viewer] = [Viewer() for _ in range(3)]
    while facts or chunks:
        take = facts if facts and (not chunks or dice.random() < 0.4) else chunks
        lost = dice.random() < 0.2  # the bus drops what it likes
        out = [] if lost else feed_all(feed, story, [take[0]])
        if feed.lacks_facts or feed.lacks_text:
            out = [*out, *refill(feed, story)]
        take.pop(0)
        for viewer in watching:
            viewer.see(out)
        for viewer in list(watching):
            if dice.random() < 0.3:
                watching.remove(viewer)
                away.append(viewer)
        for viewer in list(away):
            if dice.random() < 0.3:
                away.remove(viewer)
                viewer.see([*feed.since(viewer.version), *feed.snapshots()])
                watching.append(viewer)
    last = refill(feed, story)
    for viewer in watching:
        viewer.see(last)
    for viewer in away:
        viewer.see([*feed.since(viewer.version), *feed.snapshots()])

    for viewer in [*watching, *away]:
        assert viewer.version == len(story.facts)
    assert feed.state is DiscussionState.COMPLETED


@given(stories())
def test_text_that_overtakes_the_start_of_its_attempt_waits_for_it(story: Story) -> None:
    feed, viewer = Feed(), Viewer()
    begins = next(at for at, fact in enumerate(story.facts) if fact[1] == "TurnCompleted")
    chunks = [one for one in story.published() if one[0] == "chunk"]

    assert not feed_all(feed, story, chunks), "nothing is shown of attempts nobody has announced"
    viewer.see(feed_all(feed, story, [("fact", at) for at in range(begins)]))

    assert viewer.text == story.texts


# --- Examples -------------------------------------------------------------------------------

STARTED = msgspec.json.encode({"turn": "t", "attempt": "a"})


def chunk(offset: int, text: str, attempt: str = "a") -> tuple[StreamChunk, bytes]:
    made = StreamChunk(turn="t", attempt=attempt, kind=ChunkKind.TEXT, offset=offset, text=text)
    return made, msgspec.json.encode(made)


def started() -> Feed:
    feed = Feed()
    feed.fact(1, "AttemptStarted", STARTED)
    return feed


def shown(items: Iterable[Output]) -> list[tuple[int, str]]:
    return [(item.chunk.offset, item.chunk.text) for item in items if isinstance(item, Live)]


def test_a_piece_that_overlaps_gives_only_what_is_new() -> None:
    feed = started()
    feed.chunk(*chunk(0, "honey"))

    assert shown(feed.chunk(*chunk(3, "ey and milk"))) == [(5, " and milk")]
    assert shown(feed.chunk(*chunk(0, "honey"))) == []


def test_offsets_count_characters_not_bytes() -> None:
    feed = started()
    feed.chunk(*chunk(0, "\U0001f36f\u00e9"))

    assert shown(feed.chunk(*chunk(2, "!"))) == [(2, "!")]


def test_text_with_a_hole_before_it_waits_until_the_hole_is_filled() -> None:
    feed = started()

    assert shown(feed.chunk(*chunk(2, "cd"))) == []
    assert feed.lacks_text == ["a"]
    assert shown(feed.chunk(*chunk(0, "ab"))) == [(0, "ab"), (2, "cd")]
    assert feed.lacks_text == []


def test_a_hole_that_nobody_can_fill_stops_the_preview_but_not_the_facts() -> None:
    feed = started()
    feed.chunk(*chunk(2, "cd"))
    feed.tear("a")

    assert feed.lacks_text == []
    assert shown(feed.chunk(*chunk(4, "ef"))) == []
    assert feed.fact(2, "TurnCompleted", STARTED)


def test_a_pulse_is_nothing_to_show() -> None:
    assert started().chunk(*chunk(0, "")) == ()


def test_what_an_ended_attempt_still_says_is_not_shown() -> None:
    feed = started()
    feed.fact(2, "AttemptFailed", STARTED)

    assert feed.chunk(*chunk(0, "late")) == ()
    assert feed.strangers == []
    assert feed.snapshots() == []


def test_a_snapshot_holds_all_that_was_said_and_is_one_frame() -> None:
    feed = started()
    feed.chunk(*chunk(0, "Hello"))
    thought = StreamChunk(turn="t", attempt="a", kind=ChunkKind.REASONING, offset=0, text="hm\n\n")
    feed.chunk(thought, msgspec.json.encode(thought))

    [snapshot] = feed.snapshots()

    assert snapshot.frame == (
        b"event: TurnText\n"
        b'data: {"turn":"t","attempt":"a","text":"Hello","reasoning":"hm\\n\\n"}\n\n'
    )


# --- What is kept -----------------------------------------------------------------------------


def test_only_the_newest_facts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "LOG", 1_000)
    feed = Feed()
    for version in range(1, 101):
        feed.fact(version, "TurnWaiting", b'{"turn":"t","reason":"rate"}')

    assert feed.version == 100
    assert not feed.holds(0)
    assert 0 < feed.forgotten < 100
    assert [fact.version for fact in feed.since(feed.forgotten)] == list(
        range(feed.forgotten + 1, 101)
    )


def test_the_newest_fact_is_kept_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "LOG", 1_000)
    feed = started()
    feed.fact(2, "TurnCompleted", msgspec.json.encode({"turn": "t", "text": "x" * 5_000}))

    assert feed.forgotten == 1
    assert [fact.version for fact in feed.since(1)] == [2]


def test_facts_that_come_while_one_is_missing_do_not_pile_up() -> None:
    feed = started()
    for version in range(3, 1_000):
        feed.fact(version, "TurnWaiting", b'{"turn":"t"}')

    assert feed.lacks_facts
    assert len(feed.fact(2, "TurnWaiting", b'{"turn":"t"}')) == feed_module.AHEAD + 1


# --- Attempts that go on with a former one ----------------------------------------------------


def broken_off_after(text: str) -> Feed:
    feed = started()
    feed.chunk(*chunk(0, text))
    feed.fact(2, "AttemptFailed", msgspec.json.encode({"turn": "t", "attempt": "a", "text": text}))
    resumed = {"turn": "t", "attempt": "b", "from_char": len(text)}
    feed.fact(3, "AttemptStarted", msgspec.json.encode(resumed))
    return feed


def test_a_resumed_attempt_goes_on_from_where_the_former_one_broke() -> None:
    feed = broken_off_after("Milk \U0001f95b")

    assert shown(feed.chunk(*chunk(6, " first", attempt="b"))) == [(6, " first")]
    [snapshot] = feed.snapshots()
    assert snapshot.said == {ChunkKind.TEXT: "Milk \U0001f95b first"}


def test_an_attempt_that_begins_anew_has_none_of_the_former_text() -> None:
    feed = started()
    feed.chunk(*chunk(0, "Milk"))
    feed.fact(2, "AttemptFailed", msgspec.json.encode({"turn": "t", "attempt": "a", "text": "Mi"}))
    feed.fact(3, "AttemptStarted", msgspec.json.encode({"turn": "t", "attempt": "b"}))

    assert shown(feed.chunk(*chunk(0, "Tea", attempt="b"))) == [(0, "Tea")]
    assert feed.said("b") == {ChunkKind.TEXT: "Tea"}


def test_stored_pieces_are_put_together_up_to_the_first_hole() -> None:
    pieces = [chunk(0, "Mi")[0], chunk(0, "Milk")[0], chunk(4, " fi")[0], chunk(9, "!")[0]]

    assert put_together(pieces) == {ChunkKind.TEXT: "Milk fi"}
    assert put_together([chunk(4, " first")[0]], before="Milk?") == {ChunkKind.TEXT: "Milk first"}


def test_what_comes_after_the_end_changes_nothing_of_it_and_a_deletion_is_known() -> None:
    feed = Feed()
    named = [
        "DiscussionOpened",
        "DiscussionCompleted",
        "DiscussionRenamed",
        "WinnerPicked",
        "DiscussionDeleted",
    ]
    for version, name in enumerate(named, 1):
        assert not feed.deleted
        feed.fact(version, name, b"{}")
        assert feed.state == (None if version == 1 else DiscussionState.COMPLETED)
    assert feed.deleted
