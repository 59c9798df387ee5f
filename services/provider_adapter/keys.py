"""The keys on loan from the vault: in memory only, five minutes at most, gone at the first sign
that they changed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from contracts.attempts import KeyRef
from contracts.failures import Refused, TimedOut, Unreachable
from contracts.keys import DescribeVault, KeyLease, LeaseKey, VaultIdentity
from contracts.subjects import command_subject
from shared import sealing
from shared.redaction import REDACTOR, redact

LONGEST = timedelta(minutes=5)
"""However long the vault would lend it."""

ANSWER_WITHIN = timedelta(seconds=5)

T = TypeVar("T")


class Asks(Protocol):
    """The part of the bus that is needed here."""

    async def request(
        self, subject: str, command: Struct, answer: type[T], *, within: timedelta
    ) -> T:
        """Ask, and wait for the answer."""
        ...


class NoLease(Exception):
    """The vault did not lend the key; nothing was sent to anybody."""


class _Loan(NamedTuple):
    secret: str
    until: datetime


class _Place(NamedTuple):
    """What a loan is good for."""

    workspace: str
    key: str
    version: int
    endpoint: str


class Keyring:
    """Borrows keys, each sealed to this process and signed by the vault."""

    def __init__(
        self, bus: Asks, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._recipient = sealing.RecipientKey.generate()
        self._vault: VaultIdentity | None = None
        self._loans: dict[_Place, _Loan] = {}
        self._forgotten = 0
        """How often something was dropped: a loan asked for before that is not kept."""

    @property
    def holds(self) -> int:
        """Keys in memory now."""
        return len(self._loans)

    async def secret(
        self,
        key: KeyRef,
        *,
        workspace: str,
        request: str,
        endpoint: str,
        purpose: Literal["attempt", "probe"] = "attempt",
    ) -> str:
        """The key itself. Raises NoLease."""
        place = _Place(workspace, key.key, key.version, endpoint)
        loan = self._loans.get(place) if purpose == "attempt" else None
        if loan is not None and loan.until > self._clock():
            return loan.secret
        before = self._forgotten
        loan = await self._borrow(place, request, purpose)
        # A key lent for a probe may be one that is not to be used yet.
        if purpose == "attempt" and self._forgotten == before:
            REDACTOR.learn(loan.secret)
            if (former := self._loans.get(place)) is not None:
                REDACTOR.forget(former.secret)
            self._loans[place] = loan
        return loan.secret

    def forget(self, key: str) -> None:
        """Drop every version of this key: it was rotated, revoked, disabled or refused."""
        self._forgotten += 1
        for place in [place for place in self._loans if place.key == key]:
            self._drop(place)

    def forget_all(self) -> None:
        """Drop everything: facts may have been missed."""
        self._vault = None
        self._forgotten += 1
        for place in list(self._loans):
            self._drop(place)

    def sweep(self) -> None:
        """Drop what has expired."""
        now = self._clock()
        for place in [place for place, loan in self._loans.items() if loan.until <= now]:
            self._drop(place)

    def _drop(self, place: _Place) -> None:
        REDACTOR.forget(self._loans.pop(place).secret)

    async def _borrow(
        self, place: _Place, request: str, purpose: Literal["attempt", "probe"]
    ) -> _Loan:
        info = sealing.lease_info(
            workspace=place.workspace,
            request=request,
            key=place.key,
            version=place.version,
            endpoint=place.endpoint,
        )
        command = LeaseKey(
            workspace=place.workspace,
            request=request,
            key=place.key,
            version=place.version,
            endpoint=place.endpoint,
            recipient=self._recipient.public,
            purpose=purpose,
        )
        try:
            vault = await self._identity()
            lease = await self._bus.request(
                command_subject("key_vault", "lease"), command, KeyLease, within=ANSWER_WITHIN
            )
            sealing.verify(vault.signing_key, lease.signature, lease.sealed, info)
            secret = self._recipient.open(lease.sealed, info).decode("ascii")
        except Refused as error:
            raise NoLease(redact(f"the vault refused: {error}")) from error
        except Unreachable as error:
            raise NoLease("the vault does not listen") from error
        except TimedOut as error:
            raise NoLease("the vault did not answer in time") from error
        except sealing.SealingError as error:
            self._vault = None  # perhaps it has a new pen
            raise NoLease("the lease is not what the vault sealed for this request") from error
        except UnicodeDecodeError:
            raise NoLease("the key has letters that no HTTP header can carry") from None
        if not secret.isprintable():
            raise NoLease("the key has letters that no HTTP header can carry")
        return _Loan(secret, min(lease.expires_at, self._clock() + LONGEST))

    async def _identity(self) -> VaultIdentity:
        if self._vault is None:
            self._vault = await self._bus.request(
                command_subject("key_vault", "identity"),
                DescribeVault(),
                VaultIdentity,
                within=ANSWER_WITHIN,
            )
        return self._vault
