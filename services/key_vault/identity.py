"""The vault's own keys: what others seal to, what it signs with, and its salt.

They are made once in the life of a vault and are the same for all its replicas, so that any of
them can open what was sealed for one of them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field

from msgspec import Struct, msgpack

from contracts.keys import VaultIdentity as PublicIdentity
from services.key_vault.at_rest import (
    WrongKek,
    bound_to_identity,
    encrypt,
)
from services.key_vault.keks import Keks
from services.key_vault.sql import SQL
from shared.database import Pool, transaction
from shared.sealing import RecipientKey, SigningKey

_SHORT = 12
"""Hex digits of a fingerprint: enough to tell a team's keys apart, too few to say more."""


class _Kept(Struct, frozen=True):
    """What is kept, encrypted."""

    recipient: bytes
    signing: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class VaultIdentity:
    """What makes this vault this vault."""

    keks: Keks
    recipient: RecipientKey
    signing: SigningKey
    salt: bytes = field(repr=False)

    @property
    def public(self) -> PublicIdentity:
        """What everybody may know."""
        return PublicIdentity(sealing_key=self.recipient.public, signing_key=self.signing.public)

    def fingerprint(self, secret: str) -> str:
        """Tells equal keys; tells nothing of the key to who does not have this vault's salt."""
        return self.mac("fingerprint", secret).hex()[:_SHORT]

    def account(self, provider: str, endpoint: str, told: str) -> str:
        """Our name for an account that the provider has named; the same for all its keys."""
        return f"acct-{self.mac('account', provider, endpoint, told).hex()[:_SHORT]}"

    def mac(self, purpose: str, *parts: str) -> bytes:
        """HMAC-SHA256 of the parts; another purpose gives other values."""
        encoded = [part.encode() for part in (purpose, *parts)]
        data = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
        return hmac.digest(self.salt, data, hashlib.sha256)


async def open_identity(pool: Pool, keks: Keks) -> VaultIdentity:
    """The vault's identity; made now if this is the first start.

    WrongKek, UnusableKek: the KEK is not the one that this database needs.
    """
    stored: bytes | None = await pool.fetchval(SQL["find_identity"])
    if stored is None:
        stored = await _make(pool, keks)
    keks.read()
    return _opened(keks, stored)


async def _make(pool: Pool, keks: Keks) -> bytes:
    """Write down new keys, unless another replica was faster; answer what is written."""
    keks.make()
    new = _Kept(
        recipient=RecipientKey.generate().private_bytes(),
        signing=SigningKey.generate().private_bytes(),
        salt=os.urandom(32),
    )
    sealed = encrypt(keks.read()[0], msgpack.encode(new), bound_to_identity())
    async with transaction(pool) as conn:
        await conn.execute(SQL["keep_identity"], sealed)
    # In a statement of its own: it sees what another replica has committed meanwhile.
    stored: bytes = await pool.fetchval(SQL["find_identity"])
    return stored


def _opened(keks: Keks, stored: bytes) -> VaultIdentity:
    try:
        kept = msgpack.decode(keks.decrypt(stored, bound_to_identity()), type=_Kept)
    except WrongKek as error:
        raise WrongKek(
            f"{keks.where} is not the key that this database was encrypted with. {error} "
            "Put the right one back, or use the database that belongs to it."
        ) from error
    keks.use(stored)
    return VaultIdentity(
        keks=keks,
        recipient=RecipientKey.from_private(kept.recipient),
        signing=SigningKey.from_private(kept.signing),
        salt=kept.salt,
    )
