from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.wire import LINE_LIMIT, Frame, Frames, FrameTooLong, Lines


def frames_of(*reads: bytes) -> list[Frame]:
    frames = Frames()
    return [frame for read in reads for frame in frames.feed(read)]


def data_of(*reads: bytes) -> list[bytes]:
    return [frame.data for frame in frames_of(*reads)]


def test_a_frame_ends_with_an_empty_line() -> None:
    assert data_of(b"data: a\n\ndata: b\n") == [b"a"]


def test_one_space_after_the_colon_belongs_to_nobody() -> None:
    assert data_of(b"data:a\n\n", b"data:  b\n\n") == [b"a", b" b"]


def test_data_lines_are_joined_by_a_line_feed() -> None:
    assert data_of(b"data: a\ndata\ndata: b\n\n") == [b"a\n\nb"]


def test_comments_ids_retries_and_unknown_fields_say_nothing() -> None:
    assert data_of(b": hello\n\nid: 1\nretry: 3\nfoo: bar\nfoo\n\ndata: a\n\n:\n\n") == [b"a"]


def test_a_frame_may_have_a_name() -> None:
    assert frames_of(b"event: error\ndata: a\n\ndata: b\n\n") == [
        Frame(b"a", "error"),
        Frame(b"b", ""),
    ]


def test_a_name_without_data_is_forgotten() -> None:
    assert frames_of(b"event: error\n\ndata: a\n\n") == [Frame(b"a", "")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_every_line_end_counts_and_may_be_split(end: bytes) -> None:
    stream = end.join([b"data: a", b"", b"data: b", b"data: c", b"", b""])
    assert data_of(stream) == [b"a", b"b\nc"]
    assert data_of(*(stream[i : i + 1] for i in range(len(stream)))) == [b"a", b"b\nc"]


def test_a_mark_of_byte_order_is_no_part_of_the_first_line() -> None:
    assert data_of(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]
    assert data_of(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == [b"a"]


def test_a_line_that_never_ends_is_refused() -> None:
    with pytest.raises(FrameTooLong):
        frames_of(b"data: ", *[b"x" * (LINE_LIMIT // 2)] * 3)


def test_a_frame_that_never_ends_is_refused() -> None:
    with pytest.raises(FrameTooLong):
        frames_of(*[b"data: " + b"x" * (LINE_LIMIT - 10) + b"\n"] * 6)


def test_the_last_frame_may_lack_its_empty_line() -> None:
    frames = Frames()
    assert frames.feed(b"data: a\n\ndata: b") == [Frame(b"a")]
    assert frames.close() == [Frame(b"b")]
    assert frames.close() == []


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b":", b": hi", b"id: 4", b"event: x", b"data", b"data:", b"x\xff"]),
        st.text(max_size=12).map(
            lambda text: b"data: " + text.encode().replace(b"\r", b"").replace(b"\n", b"")
        ),
    ),
    max_size=20,
)


@given(lines=LINES, ends=st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"])), data=st.data())
def test_frames_do_not_depend_on_how_the_bytes_arrive(
    lines: list[bytes], ends: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(
        line + end for line, end in zip(lines, itertools.cycle(ends or [b"\n"]), strict=False)
    )
    edges = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    reads = [stream[a:b] for a, b in itertools.pairwise([0, *edges, len(stream)])]
    assert frames_of(*reads) == frames_of(stream)


# --- Lines ----------------------------------------------------------------------------------


def test_a_line_is_a_frame_and_an_empty_one_is_none() -> None:
    lines = Lines()
    assert lines.feed(b'{"a":1}\n\n{"b"') == [Frame(b'{"a":1}')]
    assert lines.feed(b":2}\r\n") == [Frame(b'{"b":2}')]
    assert lines.close() == []


def test_the_last_line_may_lack_its_end() -> None:
    lines = Lines()
    assert lines.feed(b'{"a":1}') == []
    assert lines.close() == [Frame(b'{"a":1}')]


def test_a_line_without_end_is_refused() -> None:
    lines = Lines()
    lines.feed(b"x" * LINE_LIMIT)
    with pytest.raises(FrameTooLong):
        lines.feed(b"x")
