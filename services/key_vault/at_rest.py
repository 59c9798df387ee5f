"""How a secret lies in the database: encrypted under a key of its own, which is encrypted in turn.

One key-encryption key (KEK), kept outside the database, wraps a data key (DEK) for each
secret. Every byte is bound to whose secret it is: a row that was moved, swapped or changed does
not open. Who has the database has nothing without the KEK, and the other way round.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = 32  # bytes: AES-256
_NONCE = 12
_TAG = 16
_MAGIC = b"PV1"
_VERSION = 4
_WRAPPED = _NONCE + KEY + _TAG
HEADER = len(_MAGIC) + _VERSION
_SHORTEST = HEADER + _WRAPPED + _NONCE + _TAG

# --- What can go wrong ----------------------------------------------------------------------


class AtRestError(Exception):
    """A secret cannot be read back."""


class WrongKek(AtRestError):
    """The KEK does not fit what is in the database."""


class UnusableKek(AtRestError):
    """There is no KEK where it should be, or what is there is not one."""


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
    """A key that wraps all others. Its version is written on whatever it has wrapped."""

    version: int
    secret: bytes = field(repr=False)


def header_of(kek: Kek) -> bytes:
    """How everything begins that this KEK has wrapped."""
    return _MAGIC + kek.version.to_bytes(_VERSION, "big")


def version_of(stored: bytes) -> int:
    """Version of the KEK that has wrapped it."""
    if len(stored) < HEADER or not stored.startswith(_MAGIC):
        raise Tampered
    return int.from_bytes(stored[len(_MAGIC) : HEADER], "big")


# --- In and out -----------------------------------------------------------------------------


def encrypt(kek: Kek, plaintext: bytes, bound: bytes) -> bytes:
    """Header (magic, KEK version) · wrapped DEK · nonce · ciphertext.

    The header is bound to the wrapping and not to the ciphertext, so that a new KEK can wrap the
    same DEK again without anybody seeing the plaintext.
    """
    dek = AESGCM.generate_key(bit_length=KEY * 8)
    inner = os.urandom(_NONCE)
    return _wrap(kek, dek) + inner + AESGCM(dek).encrypt(inner, plaintext, _MAGIC + bound)


def decrypt(kek: Kek, stored: bytes, bound: bytes) -> bytes:
    """What `encrypt` was given, if it was with the same KEK, for the same purpose."""
    dek, rest = _unwrap(kek, stored), stored[HEADER + _WRAPPED :]
    try:
        return AESGCM(dek).decrypt(rest[:_NONCE], rest[_NONCE:], _MAGIC + bound)
    except InvalidTag as error:
        raise Tampered from error


def rewrap(former: Kek, new: Kek, stored: bytes) -> bytes:
    """The same ciphertext, its DEK wrapped by another KEK; nobody sees the plaintext for it."""
    return _wrap(new, _unwrap(former, stored)) + stored[HEADER + _WRAPPED :]


def _wrap(kek: Kek, dek: bytes) -> bytes:
    header, outer = header_of(kek), os.urandom(_NONCE)
    return header + outer + AESGCM(kek.secret).encrypt(outer, dek, header)


def _unwrap(kek: Kek, stored: bytes) -> bytes:
    if len(stored) < _SHORTEST:
        raise Tampered
    if (version := version_of(stored)) != kek.version:
        raise WrongKek(f"This was encrypted with KEK version {version}; here is {kek.version}.")
    header, wrapped = stored[:HEADER], stored[HEADER : HEADER + _WRAPPED]
    try:
        return AESGCM(kek.secret).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], header)
    except InvalidTag as error:
        raise WrongKek(
            "This was encrypted with another KEK of the same version, or has been damaged."
        ) from error
