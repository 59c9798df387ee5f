from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from contracts.stream import ChunkKind
from services.provider_adapter.answer import Answer, Piece, Unsent
from services.provider_adapter.dialects import openai_chat
from services.provider_adapter.listener import Listener
from services.provider_adapter.wire import Frame

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("a\x00é\u0301👩\u200d👧🚀你\n\ufeff\u2028"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)


def frame(text: str, field: str = "content") -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {field: text}, "finish_reason": None}]}
    return b"data: " + json.dumps(chunk, ensure_ascii="\u2028" in text).encode() + b"\n\n"


def joined(chunks: list[Unsent], kind: ChunkKind) -> str:
    """What a reader holds who appends each chunk where it says it belongs."""
    held = ""
    for chunk in chunks:
        if chunk.kind is kind:
            assert chunk.offset == len(held)
            held += chunk.text
    return held


@given(
    parts=st.lists(st.tuples(st.sampled_from(["content", "reasoning_content"]), TEXTS)),
    say=st.lists(st.booleans()),
)
def test_chunks_joined_by_their_offsets_are_the_text(
    parts: list[tuple[str, str]], say: list[bool]
) -> None:
    listener = Listener(openai_chat)
    chunks: list[Unsent] = []
    for number, (field, text) in enumerate(parts):
        listener.feed(frame(text, field))
        if number < len(say) and say[number]:
            chunks += listener.answer.unsent()
    chunks += listener.answer.unsent()
    text = "".join(text for field, text in parts if field == "content")
    reasoning = "".join(text for field, text in parts if field != "content")
    assert joined(chunks, ChunkKind.TEXT) == listener.answer.text == text
    assert joined(chunks, ChunkKind.REASONING) == listener.answer.reasoning == reasoning
    assert listener.answer.unsent() == []


@given(parts=st.lists(TEXTS, min_size=1), after=st.integers(0, 20))
def test_said_again_from_the_start_it_is_the_same_text(parts: list[str], after: int) -> None:
    answer = Answer()
    for part in parts[:after]:
        answer.take(Piece(text=part))
    answer.unsent()
    again = answer.again()
    for part in parts[after:]:
        answer.take(Piece(text=part))
    assert joined(again + answer.unsent(), ChunkKind.TEXT) == "".join(parts)


def test_thinking_and_text_keep_places_of_their_own() -> None:
    answer = Answer()
    answer.take(Piece(reasoning="hm"))
    answer.take(Piece(text="a"))
    answer.take(Piece(text="b", reasoning="!"))
    assert answer.unsent() == [
        Unsent(ChunkKind.REASONING, 0, "hm"),
        Unsent(ChunkKind.TEXT, 0, "a"),
        Unsent(ChunkKind.REASONING, 2, "!"),
        Unsent(ChunkKind.TEXT, 1, "b"),
    ]


@given(text=TEXTS.filter(bool), splits=st.lists(st.integers(0, 40)))
def test_halves_of_a_character_in_two_deltas_become_one(text: str, splits: list[int]) -> None:
    units = [text.encode("utf-16-le")[i : i + 2] for i in range(0, 2 * _units(text), 2)]
    halves = [unit.decode("utf-16-le", "surrogatepass") for unit in units]
    edges = sorted({0, *(split for split in splits if split < len(halves)), len(halves)})
    listener = Listener(openai_chat)
    for start, end in itertools.pairwise(edges):
        said = json.dumps("".join(halves[start:end]))
        data = f'{{"choices":[{{"index":0,"delta":{{"content":{said}}}}}]}}'
        listener.feed(b"data: " + data.encode() + b"\n\n")
    listener.close()
    assert listener.answer.text == text


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_half_a_character_alone_is_shown_as_lost() -> None:
    listener = Listener(openai_chat)
    listener.feed(rb'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + b"\n\n")
    listener.feed(rb'data: {"choices":[{"delta":{"content":"b\ude80"}}]}' + b"\n\n")
    listener.feed(rb'data: {"choices":[{"delta":{"content":"\ud83d"}}]}' + b"\n\n")
    listener.close()
    assert listener.answer.text == "a\ufffdb\ufffd\ufffd"


def test_a_tool_call_is_said_as_the_list_of_its_deltas() -> None:
    answer = Answer()
    delta = {"index": 0, "id": "get_weather_0", "function": {"name": "get_weather"}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    answer.take(Piece(tool_calls=[delta]))
    answer.take(Piece(tool_calls=[more]))
    (chunk,) = answer.unsent()
    assert chunk.kind is ChunkKind.TOOL_CALL
    assert json.loads(chunk.text) == [delta, more]
    answer.take(Piece(tool_calls=[more]))
    assert answer.unsent()[0].offset == len(chunk.text)


def test_a_frame_in_another_tongue_is_read_carefully() -> None:
    piece = openai_chat.from_wire(Frame(b'{"choices":[{"delta":{"content":["odd"],"x":1}}]}'))
    assert piece is not None
    assert piece.text == ""
