"""What a reader has put together, over any number of broken lines, is the journal.

The bytes of the stream are read as a browser reads them, and every line may break at any byte.
Only the newest facts are kept in memory, the bus loses what it likes, and now and then a reader
comes back with an id that was never given out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from services.edge import feed as feed_module
from services.edge.feed import Feed, Output
from services.edge.frames import CONNECTED, RESYNC, event_frame, fact_frame, retry_frame
from tests.stories import Story, feed_all, refill, stories

LOG = 300
"""Bytes of facts that are kept: three or four of them."""

LOST_ITS_MEMORY = 0.1


@dataclass(eq=False)
class Reader:
    """A browser and the page in it."""

    last_id: str = ""
    facts: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    text: dict[str, str] = field(default_factory=dict[str, str])
    ended: bool = False
    line: Line | None = None

    def read(self, data: bytes) -> None:
        """Some more bytes have come; what is not whole yet waits, and is lost with the line."""
        assert self.line is not None
        *blocks, self.line.unfinished = (self.line.unfinished + data).split(b"\n\n")
        for block in blocks:
            self._take(block.decode())

    def _take(self, block: str) -> None:
        told = {"event": "message", "data": ""}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name:
                told[name] = value
        self.last_id = told.get("id", self.last_id)
        if told["data"]:
            self._see(told["event"], told["data"])

    def _see(self, name: str, data: str) -> None:
        assert not self.ended, "nothing follows the end"
        match name:
            case "resync":
                self.facts.clear()
                self.text.clear()
            case "end":
                self.ended = True
            case "TurnText":
                said = json.loads(data)
                self.text[said["attempt"]] = said["text"]
            case "StreamChunk":
                said = json.loads(data)
                held = self.text.get(said["attempt"], "")
                assert said["offset"] == len(held), "no gap, no overlap, no other attempt's text"
                self.text[said["attempt"]] = held + said["text"]
            case _:
                assert self.last_id == str(len(self.facts) + 1), "ids are contiguous"
                self.facts.append((len(self.facts) + 1, name, data))


@dataclass(eq=False)
class Line:
    """From the edge to one reader: what was written and is not read yet."""

    written: bytes = b""
    unfinished: bytes = b""
    closed: bool = False


@dataclass
class Edge:
    """The hub of one discussion without its clock and network, and the lines to its readers."""

    story: Story
    feed: Feed = field(default_factory=Feed)
    lines: list[Line] = field(default_factory=list[Line])

    def hear(self, out: Iterable[Output]) -> None:
        frames = b"".join(item.frame for item in out)
        for line in self.lines:
            line.written += frames
        if self.feed.state is not None:
            for line in self.lines:
                self._end(line)
            self.lines.clear()

    def connect(self, last_id: str) -> Line | None:
        """None for 204."""
        feed = self.feed
        after = int(last_id) if last_id.isdecimal() else 0 if not last_id else None
        if after is not None and after > feed.version:
            after = None
        if feed.state is not None and after == feed.version:
            return None
        line = Line(CONNECTED + retry_frame(3_000) + (RESYNC if after is None else b""))
        at = after or 0
        while not feed.holds(at):
            line.written += fact_frame(*self.story.facts[at])
            at += 1
        items = [*feed.since(at), *feed.snapshots()]
        line.written += b"".join(item.frame for item in items)
        if feed.state is None:
            self.lines.append(line)
        else:
            self._end(line)
        return line

    def send_away(self, line: Line) -> None:
        """It reads too slowly."""
        if line in self.lines:
            self.lines.remove(line)
            line.written += retry_frame(3_000)
            line.closed = True

    def _end(self, line: Line) -> None:
        line.written += event_frame("end", {"state": self.feed.state})
        line.closed = True


def happenings(edge: Edge, dice: random.Random) -> Iterator[None]:
    """Facts in order and the text of an attempt in order, interleaved at will; some are lost."""
    facts = [one for one in edge.story.published() if one[0] == "fact"]
    chunks = [one for one in edge.story.published() if one[0] == "chunk"]
    while facts or chunks:
        take = facts if facts and (not chunks or dice.random() < 0.4) else chunks
        one = take.pop(0)
        out = [] if dice.random() < 0.2 else feed_all(edge.feed, edge.story, [one])
        if edge.feed.lacks_facts or edge.feed.lacks_text:
            out = [*out, *refill(edge.feed, edge.story)]
        edge.hear(out)
        yield
    edge.hear(refill(edge.feed, edge.story))
    yield


def act(reader: Reader, edge: Edge, dice: random.Random) -> None:
    """What may befall a reader."""
    if reader.ended:
        assert edge.connect(reader.last_id) is None, "204: it has seen everything"
        return
    line = reader.line
    if line is None:
        if dice.random() < 0.5:
            if dice.random() < LOST_ITS_MEMORY:
                reader.last_id = dice.choice(["99999", "nonsense", "-1"])
            reader.line = edge.connect(reader.last_id)
        return
    match dice.random():
        case chance if chance < 0.6:
            count = dice.randint(0, len(line.written))
            data, line.written = line.written[:count], line.written[count:]
            reader.read(data)
            if line.closed and not line.written:
                reader.line = None
        case chance if chance < 0.75:
            if line in edge.lines:
                edge.lines.remove(line)
            reader.line = None
        case chance if chance < 0.8:
            edge.send_away(line)
        case _:
            pass


def read_to_the_end(reader: Reader, edge: Edge) -> None:
    while not reader.ended:
        reader.line = reader.line or edge.connect(reader.last_id)
        if reader.line is None:
            return  # 204: it had seen everything but the end
        reader.read(reader.line.written)
        reader.line = None


@given(stories(), st.randoms(use_true_random=True))
def test_what_a_reader_saw_is_the_journal(story: Story, dice: random.Random) -> None:
    kept, feed_module.LOG = feed_module.LOG, LOG
    try:
        edge = Edge(story)
        readers = [Reader() for _ in range(3)]
        for _ in happenings(edge, dice):
            for reader in readers:
                act(reader, edge, dice)
        for reader in readers:
            read_to_the_end(reader, edge)
    finally:
        feed_module.LOG = kept

    journal = [(version, name, data.decode()) for version, name, data in story.facts]
    for reader in readers:
        assert reader.facts == journal
        for attempt, held in reader.text.items():
            assert story.texts[attempt].startswith(held), "text is never made up, nor mixed"
