from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from msgspec import Struct

from contracts.attempts import KeyRef
from contracts.failures import Conflict, TimedOut, Unreachable
from contracts.keys import KeyLease, LeaseKey, VaultIdentity
from services.provider_adapter.keys import Keyring, NoLease
from shared import sealing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = KeyRef(key="k1", version=1)
T = TypeVar("T")


class Vault:
    """Answers on no bus at all; seals as the true one does, or not quite."""

    def __init__(self) -> None:
        self.signing = sealing.SigningKey.generate()
        self.secret = "sk-good"
        self.leases: list[LeaseKey] = []
        self.request_in_lease: str | None = None
        self.forged = False
        self.fails: Exception | None = None
        self.lasts = timedelta(hours=1)
        self.meanwhile: Keyring | None = None

    async def request(
        self, subject: str, command: Struct, answer: type[T], *, within: timedelta
    ) -> T:
        if self.fails is not None:
            raise self.fails
        made: Any
        if isinstance(command, LeaseKey):
            self.leases.append(command)
            made = self._lease(command)
            if self.meanwhile is not None:
                self.meanwhile.forget("k1")
        else:
            made = VaultIdentity(sealing_key=b"", signing_key=self.signing.public)
        assert isinstance(made, answer)
        return made

    def _lease(self, wish: LeaseKey) -> KeyLease:
        info = sealing.lease_info(
            workspace=wish.workspace,
            request=self.request_in_lease or wish.request,
            key=wish.key,
            version=wish.version,
            endpoint=wish.endpoint,
        )
        sealed = sealing.seal(wish.recipient, self.secret.encode(), info)
        pen = sealing.SigningKey.generate() if self.forged else self.signing
        return KeyLease(
            sealed=sealed, signature=pen.sign(sealed, info), expires_at=NOON + self.lasts
        )


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(vault: Vault, clock: Clock) -> Keyring:
    return Keyring(vault, clock=clock)


async def borrowed(keyring: Keyring, *, key: KeyRef = KEY, **changes: Any) -> str:
    wish: dict[str, Any] = {"workspace": "default", "request": "a1", "endpoint": "https://there"}
    return await keyring.secret(key, **(wish | changes))


async def test_a_key_is_kept_for_five_minutes_at_most(
    keyring: Keyring, vault: Vault, clock: Clock
) -> None:
    assert await borrowed(keyring) == "sk-good"
    clock.now += timedelta(minutes=4, seconds=59)
    await borrowed(keyring, request="a2")
    assert len(vault.leases) == 1
    clock.now += timedelta(seconds=1)
    keyring.sweep()
    assert keyring.holds == 0
    await borrowed(keyring, request="a3")
    assert len(vault.leases) == 2


async def test_a_key_is_good_for_its_version_and_address_only(
    keyring: Keyring, vault: Vault
) -> None:
    await borrowed(keyring)
    await borrowed(keyring, endpoint="https://elsewhere")
    await borrowed(keyring, key=KeyRef(key="k1", version=2))
    await borrowed(keyring, workspace="other")
    assert len(vault.leases) == 4


async def test_a_key_lent_for_a_look_is_not_kept(keyring: Keyring) -> None:
    await borrowed(keyring, purpose="probe")
    assert keyring.holds == 0


async def test_a_key_that_changes_while_it_is_borrowed_is_not_kept(
    keyring: Keyring, vault: Vault
) -> None:
    vault.meanwhile = keyring
    await borrowed(keyring)
    assert keyring.holds == 0


async def test_after_missed_facts_every_key_is_dropped(keyring: Keyring) -> None:
    await borrowed(keyring)
    keyring.forget_all()
    assert keyring.holds == 0


async def test_a_lease_for_another_request_is_not_believed(keyring: Keyring, vault: Vault) -> None:
    vault.request_in_lease = "another"
    with pytest.raises(NoLease):
        await borrowed(keyring)


async def test_a_lease_that_the_vault_did_not_sign_is_not_believed(
    keyring: Keyring, vault: Vault
) -> None:
    vault.forged = True
    with pytest.raises(NoLease):
        await borrowed(keyring)


@pytest.mark.parametrize(
    "error", [Conflict("quarantined"), Unreachable("nobody"), TimedOut("late")], ids=repr
)
async def test_no_answer_is_no_lease(keyring: Keyring, vault: Vault, error: Exception) -> None:
    vault.fails = error
    with pytest.raises(NoLease):
        await borrowed(keyring)


@pytest.mark.parametrize("secret", ["sk-ключ", "sk-a\r\nX: y", "sk-a\x00"])
async def test_a_key_that_no_header_can_carry_is_refused(
    keyring: Keyring, vault: Vault, secret: str
) -> None:
    vault.secret = secret
    with pytest.raises(NoLease) as refusal:
        await borrowed(keyring)
    assert "sk-" not in str(refusal.value)
