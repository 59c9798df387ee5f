"""How a secret crosses the bus: sealed so that one process can open it, for one purpose.

HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) seals; Ed25519 says who sealed. HPKE's base mode
does not authenticate the sender and the library's one-shot calls take no associated data, so
everything a sealing is bound to goes into its `info`, and what the vault seals it also signs.
"""

from __future__ import annotations

from typing import NewType

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

# --- What can go wrong ----------------------------------------------------------------------


class SealingError(Exception):
    """Something sealed, or the key for it, is not what it should be."""


class CannotOpen(SealingError):
    """It was sealed to somebody else, for something else, or was altered on the way."""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class BadSignature(SealingError):
    """The signature is not the vault's over these bytes for this purpose: believe none of it."""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class BadKey(SealingError):
    """These bytes are no usable public or private key."""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


# --- What a sealing is bound to -------------------------------------------------------------

Info = NewType("Info", bytes)
"""What a sealing is for. Made only by the functions below, one for each purpose."""


def submission_info(*, workspace: str, request: str, provider: str) -> Info:
    """A person's secret on its way into the vault."""
    return _info("submission.v1", workspace, request, provider)


def rotation_info(*, workspace: str, request: str, key: str) -> Info:
    """A new secret for a key that the vault has already."""
    return _info("rotation.v1", workspace, request, key)


def lease_info(*, workspace: str, request: str, key: str, version: int, endpoint: str) -> Info:
    """A key on loan to the process that makes one request with it."""
    return _info("lease.v1", workspace, request, key, str(version), endpoint)


def _info(purpose: str, *fields: str) -> Info:
    """Each part with its length before it, so that no two lists of fields look the same."""
    return Info(
        _joined(f"parley.sealing.{purpose}".encode(), *(field.encode() for field in fields))
    )


def _joined(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


# --- Sealing --------------------------------------------------------------------------------


def seal(public: bytes, plaintext: bytes, info: Info) -> bytes:
    """`plaintext`, readable only for the holder of `public`'s other half who knows `info`."""
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public), info=info)
    except ValueError as error:  # wrong length, or a point of low order
        raise BadKey from error


class RecipientKey:
    """The private half that opens what was sealed to `public`; kept in memory only."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> RecipientKey:
        """A new one, for as long as this process lives."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_private(cls, private: bytes) -> RecipientKey:
        """The one that `private_bytes` came from."""
        try:
            return cls(X25519PrivateKey.from_private_bytes(private))
        except ValueError as error:
            raise BadKey from error

    def private_bytes(self) -> bytes:
        """The secret itself: only ever to be stored encrypted."""
        return self._private.private_bytes_raw()

    def open(self, sealed: bytes, info: Info) -> bytes:
        """What was sealed to us for exactly this purpose; otherwise CannotOpen."""
        try:
            return _SUITE.decrypt(sealed, self._private, info=info)
        except (InvalidTag, ValueError) as error:
            raise CannotOpen from error


# --- Signing --------------------------------------------------------------------------------


class SigningKey:
    """The vault's pen."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> SigningKey:
        """A new one."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_private(cls, private: bytes) -> SigningKey:
        """The one that `private_bytes` came from."""
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(private))
        except ValueError as error:
            raise BadKey from error

    def private_bytes(self) -> bytes:
        """The secret itself: only ever to be stored encrypted."""
        return self._private.private_bytes_raw()

    def sign(self, sealed: bytes, info: Info) -> bytes:
        """Vouch for what was sealed, and for what it is."""
        return self._private.sign(_signed(sealed, info))


def verify(public: bytes, signature: bytes, sealed: bytes, info: Info) -> None:
    """Pass if `public`'s other half signed exactly this; otherwise BadSignature."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise BadKey from error
    try:
        key.verify(signature, _signed(sealed, info))
    except InvalidSignature as error:
        raise BadSignature from error


def _signed(sealed: bytes, info: Info) -> bytes:
    return _joined(b"parley.signature.v1", info, sealed)
