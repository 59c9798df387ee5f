"""Where the key-encryption keys (KEKs) come from: the operator hands one over, or a file has it.

As a rule there is one. While it is being changed there are two, the new one first: what the former
has wrapped can be read until everything is wrapped by the new one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import structlog

from services.key_vault.at_rest import (
    KEY,
    Kek,
    UnusableKek,
    WrongKek,
    decrypt,
    encrypt,
    rewrap,
    version_of,
)
from services.key_vault.private_file import read_private, write_once, write_over

HANDED_OVER = 1 << 31
"""Versions from here on are told by the KEK itself, those below count up in the file."""

CURRENT, FORMER = "PARLEY_KEK", "PARLEY_KEK_FORMER"

log = structlog.stdlib.get_logger("keks")


@dataclass(frozen=True, slots=True)
class Given:
    """The KEKs that the operator keeps outside; the former one only while it is changed."""

    current: Kek | None = None
    former: Kek | None = None


def given(current: str, former: str) -> Given:
    """As the environment has them; UnusableKek says how they are to be written."""
    return Given(_handed_over(CURRENT, current), _handed_over(FORMER, former))


def _handed_over(variable: str, text: str) -> Kek | None:
    if not (text := text.strip()):
        return None
    bare = text.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        secret = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        secret = b""
    if len(secret) != KEY:
        # Without the exception: it might quote.
        raise UnusableKek(
            f"{variable} is not {KEY} bytes in base64. Make one with: "
            f"head -c {KEY} /dev/urandom | base64"
        )
    known = hashlib.sha256(b"parley kek version" + secret).digest()
    return Kek(HANDED_OVER | int.from_bytes(known[:4], "big"), secret)


class Keks:
    """All KEKs there are, and which of them is in use: what is new is wrapped by that one."""

    def __init__(self, file: Path, given: Given | None = None) -> None:
        self.file = file
        self._given = given or Given()
        self._all: tuple[Kek, ...] = ()
        self._in_use: Kek | None = None

    @property
    def where(self) -> str:
        """Where the one lies that people would look after."""
        return CURRENT if self._given.current else str(self.file)

    # --- What there is ----------------------------------------------------------------------

    def read(self) -> tuple[Kek, ...]:
        """All of them, the newest first; UnusableKek if there is none that could be meant."""
        outside = self._given.current is not None or self._given.former is not None
        inside = read_keks(self.file) if self.file.exists() or not outside else ()
        self._all = tuple(
            kek
            for kek in chain((self._given.current,), inside, (self._given.former,))
            if kek is not None
        )
        return self._all

    def make(self) -> None:
        """The first KEK, unless there is one, whoever else is making one too."""
        if self._given.current is None:
            write_once(self.file, _line(Kek(1, os.urandom(KEY))))

    def add(self) -> Kek:
        """A new KEK, kept beside the ones that there are. CannotAdd says what to do instead."""
        if self._given.current is not None:
            raise CannotAdd(
                "The KEK comes from the environment, so Parley cannot make another.",
                f"Start Parley with a new one in {CURRENT} and the present one in {FORMER}, "
                "then do this again.",
            )
        inside = read_keks(self.file) if self.file.exists() else ()
        new = Kek(1 + max((kek.version for kek in inside), default=0), os.urandom(KEY))
        self._write((new, *inside))
        return new

    def drop_all_but(self, kept: Kek) -> None:
        """The former ones are of no more use: nothing is wrapped by them."""
        inside = read_keks(self.file) if self.file.exists() else ()
        if kept in inside and len(inside) > 1:
            try:
                self._write((kept,))
            except CannotAdd as error:
                log.warning("a KEK that nothing is wrapped by stays in its file", why=str(error))

    def has_former(self, kek: Kek) -> bool:
        """There are others below this one in the file."""
        inside = read_keks(self.file) if self.file.exists() else ()
        return kek in inside[:-1]

    def left_over(self) -> str:
        """What the operator may take away once nothing is wrapped by it; empty: nothing."""
        if self._given.former is not None:
            return FORMER
        if self._given.current is not None and self.file.exists():
            return str(self.file)
        return f"The second line of {self.file}" if self.has_former(self.in_use) else ""

    def _write(self, keks: tuple[Kek, ...]) -> None:
        try:
            write_over(self.file, "".join(map(_line, keks)))
        except OSError as error:
            raise CannotAdd(
                f"{self.file} cannot be written: {error.strerror}.",
                "Let key_vault write to that folder and do this again; or start Parley with a "
                f"new KEK in {CURRENT}, and do this again: the file is still read.",
            ) from error
        self.read()

    # --- What they do -----------------------------------------------------------------------

    def use(self, stored: bytes) -> None:
        """From now on, what is new is wrapped by the KEK that has wrapped this."""
        self._in_use = self.of(stored)

    @property
    def in_use(self) -> Kek:
        assert self._in_use is not None, "the vault's identity is opened first"
        return self._in_use

    def of(self, stored: bytes) -> Kek:
        """The KEK that has wrapped it; WrongKek if it is not here."""
        version = version_of(stored)
        for look in (self._all, None):
            # Another replica may have made one since.
            for kek in self.read() if look is None else look:
                if kek.version == version:
                    return kek
        here = " and ".join(str(kek.version) for kek in self._all)
        raise WrongKek(f"This was encrypted with KEK version {version}; here is {here}.")

    def encrypt(self, plaintext: bytes, bound: bytes) -> bytes:
        return encrypt(self.in_use, plaintext, bound)

    def decrypt(self, stored: bytes, bound: bytes) -> bytes:
        return decrypt(self.of(stored), stored, bound)

    def rewrap(self, stored: bytes, by: Kek) -> bytes:
        """The same secret, wrapped by this one."""
        former = self.of(stored)
        return stored if former == by else rewrap(former, by, stored)


class CannotAdd(Exception):
    """No new KEK can be made or kept here; the message and the next step say why and what to do."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


# --- The file -------------------------------------------------------------------------------

_LINE = re.compile(r"parley-kek:(?P<version>[1-9][0-9]{0,8}):(?P<secret>[A-Za-z0-9_-]{43})\Z")


def _line(kek: Kek) -> str:
    return f"parley-kek:{kek.version}:{base64.urlsafe_b64encode(kek.secret).decode().rstrip('=')}\n"


def read_keks(path: Path) -> tuple[Kek, ...]:
    """The KEKs in the file, the newest first; UnusableKek says what is wrong with it."""
    try:
        text = read_private(path)
    except FileNotFoundError as error:
        raise UnusableKek(
            f"The secrets in the database are encrypted with a key that should be in {path}, and "
            "that file is gone. Put it back from your backup: without it no key can be read. "
            f"If that key was in {CURRENT}, start Parley with {CURRENT} set."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UnusableKek(f"{path} cannot be read: {why}.") from error
    found = [_LINE.match(line) for line in text.splitlines()]
    if not found:
        raise UnusableKek(f"{path} is empty; restore it from your backup.")
    keks: list[Kek] = []
    for match in found:
        if match is None:
            raise UnusableKek(f"{path} is not the file that Parley wrote there; restore it.")
        try:
            secret = base64.urlsafe_b64decode(match["secret"] + "=")
        except binascii.Error as error:
            raise UnusableKek(f"{path} is damaged; restore it.") from error
        keks.append(Kek(int(match["version"]), secret))
    return tuple(keks)
