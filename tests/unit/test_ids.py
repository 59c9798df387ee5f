"""Ids order by time, say that they are UUIDv7, and are the same for the same dice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import RANDOM_BYTES, is_id, token, uuid7

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
dice = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(times, dice)
def test_an_id_is_a_uuid_of_version_7(at: datetime, random: bytes) -> None:
    made = UUID(uuid7(at, random))
    assert made.version == 7
    assert made.variant == RFC_4122
    assert is_id(str(made))
    assert token(str(made)) == str(made)


@given(times, dice)
def test_an_id_carries_its_millisecond(at: datetime, random: bytes) -> None:
    assert UUID(uuid7(at, random)).int >> 80 == (at - EPOCH) // timedelta(milliseconds=1)


@given(times, times, dice, dice)
def test_ids_order_by_time(first: datetime, second: datetime, one: bytes, other: bytes) -> None:
    a, b = uuid7(first, one), uuid7(second, other)
    if second - first >= timedelta(milliseconds=1):
        assert a < b


@given(times, dice, dice)
def test_the_dice_decide_the_rest(at: datetime, one: bytes, other: bytes) -> None:
    """74 of the 80 bits: the other 6 say version and variant."""
    assert uuid7(at, one) == uuid7(at, one)

    def without_marks(random: bytes) -> int:
        bits = int.from_bytes(random, "big")
        return bits & ~(0xF << 76) & ~(0x3 << 62)

    assert (uuid7(at, one) == uuid7(at, other)) == (without_marks(one) == without_marks(other))


@pytest.mark.parametrize("size", [0, 9, 11, 16])
def test_the_dice_must_be_whole(size: int) -> None:
    with pytest.raises(ValueError, match="10 bytes"):
        uuid7(EPOCH, bytes(size))


@given(st.text())
def test_nothing_else_is_an_id(text: str) -> None:
    assert not is_id(text) or str(UUID(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not-an-id",
        "019A9A9A-9A9A-7A9A-9A9A-9A9A9A9A9A9A",
        "{019a9a9a-9a9a-7a9a-9a9a-9a9a9a9a9a9a}",
        "019a9a9a9a9a7a9a9a9a9a9a9a9a9a9a",
        "urn:uuid:019a9a9a-9a9a-7a9a-9a9a-9a9a9a9a9a9a",
        " 019a9a9a-9a9a-7a9a-9a9a-9a9a9a9a9a9a",
    ],
)
def test_an_id_is_written_in_one_form_only(text: str) -> None:
    assert not is_id(text)
