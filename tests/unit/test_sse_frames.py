"""No text that a model or a person says can forge a frame of the stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.stream import ChunkKind, StreamChunk
from services.edge.frames import chunked, event_frame, fact_frame, live_frame, one_line
from services.edge.sse import retry

NASTY = [
    "\n\nevent: end\ndata: {}",
    "\r\revent: end\rdata: {}",
    "\r\n\r\nid: 99\r\n",
    "\x00",
    "\u2028event: end\u2029",
    "\x85\x0b\x0c",
    "data: x\n\n: comment",
    "\ufeffdata: x",
]
texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=60))


@dataclass
class Heard:
    id: str
    event: str
    data: str


def browser(stream: bytes) -> Iterator[Heard]:
    """The events of a stream as the standard has browsers read it."""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    last = ""
    for block in text.split("\n\n"):
        event = "message"
        data: list[str] = []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            match name, value.removeprefix(" "):
                case "id", id:
                    last = id
                case "event", named:
                    event = named
                case "data", piece:
                    data.append(piece)
                case _:
                    pass
        if data:
            yield Heard(last, event, "\n".join(data))


@given(texts)
def test_live_text_is_one_frame_and_comes_back_exactly(text: str) -> None:
    chunk = StreamChunk(turn="t", attempt="a", kind=ChunkKind.TEXT, offset=0, text=text)

    heard = list(browser(live_frame(msgspec.json.encode(chunk))))

    assert [one.event for one in heard] == ["StreamChunk"]
    assert json.loads(heard[0].data)["text"] == text


@given(texts)
def test_a_fact_is_one_frame_with_its_version(text: str) -> None:
    heard = list(browser(fact_frame(7, "TurnCompleted", msgspec.json.encode({"text": text}))))

    assert [(one.id, one.event) for one in heard] == [("7", "TurnCompleted")]
    assert json.loads(heard[0].data) == {"text": text}


@given(texts)
def test_a_document_written_over_several_lines_is_put_into_one(text: str) -> None:
    document = json.dumps({"text": text, "more": [1, 2]}, indent=2).encode()

    for broken in (document, document.replace(b"\n", b"\r\n")):
        line = one_line(broken)
        assert b"\n" not in line
        assert b"\r" not in line
        assert json.loads(line) == {"text": text, "more": [1, 2]}


def test_what_is_one_line_already_is_passed_on_untouched() -> None:
    payload = b'{"text": "as it came", "extra": 1}'

    assert one_line(payload) is payload


@pytest.mark.parametrize("name", ["", "end\ndata: x", "a b", "a:b", "\u00e9v", "1st", "x" * 65])
def test_only_plain_names_become_event_names(name: str) -> None:
    with pytest.raises(ValueError, match="event name"):
        event_frame(name, {})


def test_a_chunk_of_a_chunked_body_is_as_long_as_it_says() -> None:
    assert chunked(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_nothing_is_no_chunk_as_an_empty_one_would_end_the_body() -> None:
    assert chunked(b"") == b""


def test_readers_that_are_sent_away_together_come_back_one_after_the_other() -> None:
    times = [int(retry().split()[1]) for _ in range(2_000)]

    assert all(3_000 <= time <= 6_000 for time in times)
    mean = len(times) / 3  # a second, over the three in which they come
    assert max(Counter(time // 1_000 for time in times).values()) <= 1.2 * mean
