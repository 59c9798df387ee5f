"""An answer that is gone on with reads as if it had never broken off."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from contracts.stream import ChunkKind
from services.provider_adapter.answer import Answer, Piece
from services.provider_adapter.seam import SHORTEST, Seam, overlap

WORDS = st.text(alphabet="ab ", max_size=60)


def joined(prefix: str, pieces: list[str]) -> tuple[str, Seam]:
    seam = Seam(prefix)
    said = "".join(seam.take(piece) for piece in pieces)
    return prefix + said + seam.close(), seam


def test_what_the_provider_says_again_is_said_once() -> None:
    whole, seam = joined("The rain fell in torrents", ["fell in ", "torrents", ", and so on."])

    assert whole == "The rain fell in torrents, and so on."
    assert seam.dropped == len("fell in torrents")


def test_a_few_letters_in_common_are_chance() -> None:
    assert joined("It rains in torrents", ["torrents of it."])[0] == (
        "It rains in torrentstorrents of it."
    )


def test_a_short_continuation_is_not_lost() -> None:
    assert joined("The rain fell in torrents", ["fell in t"])[0].endswith("torrentsfell in t")


def test_a_server_that_says_it_all_again_is_heard_from_where_it_was() -> None:
    prefix = "The rain fell in torrents, except at occasional intervals. " * 5

    whole, _ = joined(prefix, [prefix[:7], prefix[7:100], prefix[100:], "Then it stopped."])

    assert whole == prefix + "Then it stopped."


@given(prefix=WORDS, continuation=WORDS, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_however_it_is_cut_into_pieces(prefix: str, continuation: str, cuts: list[int]) -> None:
    at = sorted({0, *(cut % (len(continuation) + 1) for cut in cuts), len(continuation)})
    pieces = [continuation[a:b] for a, b in itertools.pairwise(at)]

    whole, _ = joined(prefix, pieces)

    expected = overlap(prefix, continuation) if len(prefix) >= SHORTEST else 0
    assert whole == prefix + continuation[expected:]
    assert expected == 0 or expected >= SHORTEST


def test_chunks_of_an_answer_that_goes_on_begin_where_it_broke_off() -> None:
    answer = Answer("The rain fell")
    answer.take(Piece(text=" in"))
    answer.take(Piece(text=" torrents."))
    answer.close()

    assert answer.unsent() == [(ChunkKind.TEXT, 13, " in torrents.")]
    assert answer.text == "The rain fell in torrents."
    assert answer.new == " in torrents."
    assert not Answer("The rain").spoken, "what another attempt said commits nobody"
