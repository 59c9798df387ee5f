"""A secret in the database opens with the right file, for the right purpose, unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.key_vault.at_rest import (
    AtRestError,
    Kek,
    Tampered,
    WrongKek,
    bound_to_identity,
    bound_to_key,
    decrypt,
    encrypt,
    rewrap,
    version_of,
)

KEK = Kek(1, b"k" * 32)
BOUND = bound_to_key("default", "k1", 1, "https://api.moonshot.ai/v1")

fields = st.tuples(st.text(max_size=8), st.text(max_size=8), st.integers(0, 3), st.text(max_size=8))


@given(secret=st.binary(max_size=600))
def test_what_goes_in_comes_out(secret: bytes) -> None:
    stored = encrypt(KEK, secret, BOUND)
    assert decrypt(KEK, stored, BOUND) == secret
    assert len(secret) < 8 or secret not in stored


def test_the_same_secret_never_looks_the_same() -> None:
    assert encrypt(KEK, b"sk-secret", BOUND) != encrypt(KEK, b"sk-secret", BOUND)


@given(data=st.data(), flip=st.integers(1, 255))
@settings(max_examples=200)
def test_any_changed_byte_is_noticed(data: st.DataObject, flip: int) -> None:
    stored = bytearray(encrypt(KEK, b"sk-secret", BOUND))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= flip
    with pytest.raises(AtRestError):
        decrypt(KEK, bytes(stored), BOUND)


@given(length=st.integers(0, 110))
def test_a_cut_record_is_noticed(length: int) -> None:
    stored = encrypt(KEK, b"sk-secret", BOUND)
    with pytest.raises(AtRestError):
        decrypt(KEK, stored[: min(length, len(stored) - 1)], BOUND)


@given(mine=fields, other=fields)
def test_it_opens_only_as_what_it_was_stored_as(
    mine: tuple[str, str, int, str], other: tuple[str, str, int, str]
) -> None:
    stored = encrypt(KEK, b"sk-secret", bound_to_key(*mine))
    if mine == other:
        assert decrypt(KEK, stored, bound_to_key(*other)) == b"sk-secret"
    else:
        with pytest.raises(Tampered):
            decrypt(KEK, stored, bound_to_key(*other))


def test_a_key_is_not_taken_for_the_vaults_own() -> None:
    with pytest.raises(Tampered):
        decrypt(KEK, encrypt(KEK, b"sk-secret", BOUND), bound_to_identity())


def test_another_kek_is_called_by_its_name() -> None:
    stored = encrypt(KEK, b"sk-secret", BOUND)
    with pytest.raises(WrongKek, match="another KEK"):
        decrypt(Kek(1, b"x" * 32), stored, BOUND)
    with pytest.raises(WrongKek, match="version 1; here is 2"):
        decrypt(Kek(2, b"k" * 32), stored, BOUND)


def test_another_kek_wraps_the_same_ciphertext_for_the_same_purpose() -> None:
    stored = encrypt(KEK, b"sk-secret", BOUND)
    new = Kek(2, b"n" * 32)
    again = rewrap(KEK, new, stored)

    assert (version_of(stored), version_of(again)) == (1, 2)
    assert again[67:] == stored[67:]  # what follows the header and the data key
    assert decrypt(new, again, BOUND) == b"sk-secret"
    with pytest.raises(WrongKek):
        decrypt(KEK, again, BOUND)
    with pytest.raises(Tampered):
        decrypt(new, again, bound_to_identity())


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_data_key_is_not_wrapped_again(place: int, flip: int) -> None:
    stored = bytearray(encrypt(KEK, b"sk-secret", BOUND))
    stored[place % 67] ^= flip
    with pytest.raises(AtRestError):
        rewrap(KEK, Kek(2, b"n" * 32), bytes(stored))


def test_a_kek_is_not_shown_by_mistake() -> None:
    assert "kkkk" not in repr(KEK)
