"""How a secret lies in the database: encrypted under a key of its own, which is encrypted in turn.

One key-encryption key (KEK), in a file outside the database, wraps a data key (DEK) for each
secret. Every byte is bound to whose secret it is: a row that was moved, swapped or changed does
not open. Who has the database has nothing without the file, and the other way round.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.key_vault.private_file import read_private, write_once

_KEY = 32  # AES-256
_NONCE = 12
_TAG = 16
_MAGIC = b"PV1"
_VERSION = 4
_WRAPPED = _NONCE + _KEY + _TAG
_HEADER = len(_MAGIC) + _VERSION
_SHORTEST = _HEADER + _WRAPPED + _NONCE + _TAG

# --- What can go wrong ----------------------------------------------------------------------


class AtRestError(Exception):
    """A secret cannot be read back."""


class WrongKek(AtRestError):
    """The KEK does not fit what is in the database."""


class UnusableKek(AtRestError):
    """The KEK file is missing or is not one."""


class Tampered(AtRestError):
    """These bytes are not what was stored for this purpose: changed, or moved from elsewhere."""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


# --- What a secret is bound to --------------------------------------------------------------


def bound_to_key(workspace: str, key: str, version: int, endpoint: str) -> bytes:
    """A provider key: whose it is, and the one address it may be sent to."""
    return _bound("key", workspace, key, str(version), endpoint)


def bound_to_identity() -> bytes:
    """The vault's own private keys."""
    return _bound("identity")


def _bound(*fields: str) -> bytes:
    """Each field with its length before it: no two lists of fields look the same."""
    parts = [part.encode() for part in fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


# --- The key-encryption key -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kek:
    """The key that wraps all others. Its version is written on whatever it has wrapped."""

    version: int
    secret: bytes = field(repr=False)


_LINE = re.compile(r"parley-kek:(?P<version>[1-9][0-9]{0,8}):(?P<secret>[A-Za-z0-9_-]{43})\Z")


def make_kek(path: Path) -> Kek:
    """The KEK in the file; a new one if there is no file, whoever else is making one too."""
    secret = base64.urlsafe_b64encode(os.urandom(_KEY)).decode().rstrip("=")
    write_once(path, f"parley-kek:1:{secret}\n")
    return read_kek(path)


def read_kek(path: Path) -> Kek:
    """The KEK in the file; UnusableKek says what is wrong with it."""
    try:
        text = read_private(path)
    except FileNotFoundError as error:
        raise UnusableKek(
            f"The secrets in the database are encrypted with a key that should be in {path}, and "
            "that file is gone. Put it back from your backup: without it no key can be read."
        ) from error
    except OSError as error:
        raise UnusableKek(f"{path} cannot be read: {error.strerror}.") from error
    match = _LINE.match(text)
    if match is None:
        raise UnusableKek(f"{path} is not the file that Parley wrote there; restore it.")
    try:
        secret = base64.urlsafe_b64decode(match["secret"] + "=")
    except binascii.Error as error:
        raise UnusableKek(f"{path} is damaged; restore it.") from error
    return Kek(int(match["version"]), secret)


# --- In and out -----------------------------------------------------------------------------


def encrypt(kek: Kek, plaintext: bytes, bound: bytes) -> bytes:
    """Header (magic, KEK version) · wrapped DEK · nonce · ciphertext.

    The header is bound to the wrapping and not to the ciphertext, so that a new KEK can wrap the
    same DEK again without anybody seeing the plaintext.
    """
    dek = AESGCM.generate_key(bit_length=_KEY * 8)
    header = _MAGIC + kek.version.to_bytes(_VERSION, "big")
    outer, inner = os.urandom(_NONCE), os.urandom(_NONCE)
    wrapped = AESGCM(kek.secret).encrypt(outer, dek, header)
    return header + outer + wrapped + inner + AESGCM(dek).encrypt(inner, plaintext, _MAGIC + bound)


def decrypt(kek: Kek, stored: bytes, bound: bytes) -> bytes:
    """What `encrypt` was given, if it was with the same KEK, for the same purpose."""
    if len(stored) < _SHORTEST or not stored.startswith(_MAGIC):
        raise Tampered
    header, rest = stored[:_HEADER], stored[_HEADER:]
    version = int.from_bytes(header[len(_MAGIC) :], "big")
    if version != kek.version:
        raise WrongKek(f"This was encrypted with KEK version {version}; here is {kek.version}.")
    try:
        dek = AESGCM(kek.secret).decrypt(rest[:_NONCE], rest[_NONCE:_WRAPPED], header)
    except InvalidTag as error:
        raise WrongKek(
            "This was encrypted with another KEK of the same version, or has been damaged."
        ) from error
    nonce, ciphertext = rest[_WRAPPED : _WRAPPED + _NONCE], rest[_WRAPPED + _NONCE :]
    try:
        return AESGCM(dek).decrypt(nonce, ciphertext, _MAGIC + bound)
    except InvalidTag as error:
        raise Tampered from error
