"""A secret in the database opens with the right file, for the right purpose, unchanged."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.key_vault.at_rest import (
    AtRestError,
    Kek,
    Tampered,
    UnusableKek,
    WrongKek,
    bound_to_identity,
    bound_to_key,
    decrypt,
    encrypt,
    make_kek,
    read_kek,
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


def test_a_kek_is_not_shown_by_mistake() -> None:
    assert "kkkk" not in repr(KEK)


# --- The file -------------------------------------------------------------------------------


def test_the_kek_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "vault" / "kek"
    made = make_kek(file)
    assert make_kek(file) == read_kek(file) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["kek"]


def test_of_several_that_start_at_once_all_get_the_same_kek(tmp_path: Path) -> None:
    file = tmp_path / "kek"
    with ThreadPoolExecutor(8) as pool:
        assert len({kek.secret for kek in pool.map(make_kek, [file] * 8)}) == 1


def test_a_lost_or_damaged_kek_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnusableKek, match="backup"):
        read_kek(tmp_path / "kek")
    (tmp_path / "kek").write_text("parley-kek:1:short\n")
    with pytest.raises(UnusableKek, match="restore"):
        read_kek(tmp_path / "kek")
