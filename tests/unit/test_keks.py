"""The keys that encrypt all others: made once, kept privately, told apart, changed one by one."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.key_vault.at_rest import UnusableKek, WrongKek, bound_to_identity, encrypt
from services.key_vault.keks import CURRENT, FORMER, CannotAdd, Keks, given

ONE, TWO = base64.b64encode(b"1" * 32).decode(), base64.b64encode(b"\xff" * 32).decode()
BOUND = bound_to_identity()


def made(file: Path) -> Keks:
    keks = Keks(file)
    keks.make()
    keks.read()
    return keks


# --- In a file ------------------------------------------------------------------------------


def test_the_kek_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "vault" / "kek"
    assert made(file).read() == made(file).read()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["kek"]


def test_of_several_that_start_at_once_all_get_the_same_kek(tmp_path: Path) -> None:
    file = tmp_path / "kek"
    with ThreadPoolExecutor(8) as pool:
        assert len({keks.read() for keks in pool.map(made, [file] * 8)}) == 1


def test_a_new_kek_stands_before_the_former_one_until_that_is_destroyed(tmp_path: Path) -> None:
    keks = made(tmp_path / "kek")
    (first,) = keks.read()
    second = keks.add()

    assert keks.read() == (second, first)
    assert (first.version, second.version) == (1, 2)
    assert stat.S_IMODE(keks.file.stat().st_mode) == 0o600
    keks.drop_all_but(second)
    assert Keks(keks.file).read() == (second,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kek"]


def test_what_another_replica_has_wrapped_with_a_newer_one_is_read(tmp_path: Path) -> None:
    mine, other = made(tmp_path / "kek"), made(tmp_path / "kek")
    stored = encrypt(other.add(), b"sk-secret", BOUND)
    assert mine.decrypt(stored, BOUND) == b"sk-secret"


def test_a_lost_or_damaged_kek_says_what_to_do(tmp_path: Path) -> None:
    for text, said in (
        (None, "backup"),
        ("", "restore"),
        ("parley-kek:1:short\n", "restore"),
        ("\ufeff\x00", "restore"),
    ):
        if text is not None:
            (tmp_path / "kek").write_text(text)
        with pytest.raises(UnusableKek, match=said):
            Keks(tmp_path / "kek").read()


def test_a_kek_that_cannot_be_kept_is_none(tmp_path: Path) -> None:
    keks = made(tmp_path / "kek")
    keks.file.unlink()
    keks.file.mkdir()
    (keks.file / "in the way").touch()
    with pytest.raises((CannotAdd, UnusableKek)):
        keks.add()
    assert not list(tmp_path.glob(".kek*"))


# --- Handed over ----------------------------------------------------------------------------


def test_a_kek_that_is_handed_over_needs_no_file(tmp_path: Path) -> None:
    keks = Keks(tmp_path / "kek", given(f" {ONE}\n", ""))
    keks.make()
    (only,) = keks.read()
    assert not keks.file.exists()
    assert keks.where == CURRENT
    # Told by itself, so that it cannot be mistaken for another.
    assert given(TWO, ONE).former == only
    assert given(TWO.replace("/", "_").rstrip("="), "").current == given(TWO, "").current


def test_the_file_is_read_beside_one_that_is_handed_over(tmp_path: Path) -> None:
    former = made(tmp_path / "kek")
    stored = encrypt(former.read()[0], b"sk-secret", BOUND)
    keks = Keks(tmp_path / "kek", given(ONE, ""))
    assert keks.decrypt(stored, BOUND) == b"sk-secret"
    assert len(keks.read()) == 2


@pytest.mark.parametrize("text", ["x", "k" * 31, ONE[:-4], "ä" * 40, ONE + ONE])
def test_what_is_no_kek_says_how_to_make_one_and_quotes_nothing(text: str) -> None:
    with pytest.raises(UnusableKek, match="base64") as refused:
        given("", text)
    assert FORMER in str(refused.value)
    assert text not in str(refused.value).split("Make one")[0].replace(FORMER, "")


def test_an_operators_kek_is_changed_by_the_operator(tmp_path: Path) -> None:
    keks = Keks(tmp_path / "kek", given(ONE, ""))
    with pytest.raises(CannotAdd) as refused:
        keks.add()
    assert CURRENT in refused.value.next_step
    assert FORMER in refused.value.next_step


def test_without_the_one_that_is_needed_the_ones_that_are_there_are_named(tmp_path: Path) -> None:
    keks = made(tmp_path / "kek")
    lost = given(TWO, "").current
    assert lost is not None
    with pytest.raises(WrongKek, match="here is 1"):
        keks.of(encrypt(lost, b"sk-secret", BOUND))
