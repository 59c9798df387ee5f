"""The vault among its neighbours, on a real database and bus; discussion is played by a script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from msgspec import Struct

from contracts.attempts import LiveModel, ProbeResult
from contracts.failures import Evidence, FailureClass
from contracts.keys import (
    AddKey,
    DescribeVault,
    Done,
    KeyLease,
    KeyList,
    KeyView,
    LeaseKey,
    ListKeys,
    ReportKey,
    RotateKey,
    VaultIdentity,
)
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from services.key_vault.store import Store
from services.key_vault.verification import Verification
from shared.bus import Bus
from shared.database import Pool
from shared.sealing import RecipientKey, lease_info, rotation_info, seal, submission_info

SECRET = "sk-" + "canary0Key1" * 4 + "abcd"
OTHER = "sk-" + "another2Key3" * 4
HERE = "https://api.moonshot.ai/v1"
SOON = timedelta(seconds=15)
THERE = "https://api.moonshot.cn/v1"

T = TypeVar("T")

GOOD = ProbeResult(models=[LiveModel(id="kimi-k2.6"), LiveModel(id="kimi-k3")])
REFUSED = ProbeResult(
    failure=FailureClass.AUTH,
    evidence=Evidence(status=401, type="invalid_authentication_error"),
)
AWAY = ProbeResult(failure=FailureClass.TRANSIENT, evidence=Evidence(status=502))


@dataclass
class World:
    """The vault among its neighbours; discussion is played by a script."""

    store: Store
    verification: Verification
    edge: Bus
    adapter: Bus
    discussion: Bus
    says: ProbeResult = GOOD
    """What `GET /models` comes to."""
    asked: list[ProbeKey] = field(default_factory=list[ProbeKey])
    says_at: dict[str, ProbeResult] = field(default_factory=dict[str, ProbeResult])
    """The same, where it depends on the address."""
    meanwhile: Callable[[ProbeKey], Awaitable[None]] | None = None

    async def probe(self, question: ProbeKey) -> ProbeResult:
        self.asked.append(question)
        if self.meanwhile is not None:
            await self.meanwhile(question)
        return self.says_at.get(question.endpoint, self.says)

    # --- what the others ask ---

    async def add(self, secret: str = SECRET, **more: Any) -> KeyView:
        return await self.ask(self.edge, "add", await self.sealed(secret, **more), KeyView)

    async def sealed(self, secret: str, **more: Any) -> AddKey:
        vault = await self.ask(self.edge, "identity", DescribeVault(), VaultIdentity)
        wish: dict[str, Any] = {"workspace": "default", "request": "r1", "provider": "kimi", **more}
        info = submission_info(
            workspace=wish["workspace"], request=wish["request"], provider=wish["provider"]
        )
        sealed = seal(vault.sealing_key, secret.encode(), info)
        return AddKey(sealed_secret=sealed, **wish)

    async def rotate(self, key: KeyView, secret: str) -> KeyView:
        vault = await self.ask(self.edge, "identity", DescribeVault(), VaultIdentity)
        info = rotation_info(workspace="default", request="r9", key=key.id)
        wish = RotateKey(
            workspace="default",
            request="r9",
            key=key.id,
            sealed_secret=seal(vault.sealing_key, secret.encode(), info),
            by="owner",
        )
        return await self.ask(self.edge, "rotate", wish, KeyView)

    async def lease(
        self, lent: KeyView, to: RecipientKey, purpose: str = "attempt", **more: Any
    ) -> KeyLease:
        wish: dict[str, Any] = {
            "workspace": "default",
            "request": "attempt-1",
            "key": lent.id,
            "version": lent.version,
            "endpoint": lent.endpoint,
            "recipient": to.public,
            "purpose": purpose,
            **more,
        }
        return await self.ask(self.adapter, "lease", LeaseKey(**wish), KeyLease)

    async def report(self, key: KeyView, *, accepted: bool, version: int = 1) -> None:
        evidence = Evidence() if accepted else Evidence(status=401, type="incorrect_api_key_error")
        wish = ReportKey(
            workspace="default",
            key=key.id,
            version=version,
            accepted=accepted,
            attempt="a1",
            evidence=evidence,
        )
        await self.ask(self.discussion, "report", wish, Done)

    async def key(self, key: KeyView) -> KeyView:
        return await self.store.key("default", key.id)

    async def keys(self) -> list[KeyView]:
        return (await self.ask(self.edge, "list", ListKeys(workspace="default"), KeyList)).items

    async def ask(self, who: Bus, verb: str, command: Struct, answer: type[T]) -> T:
        return await who.request(command_subject("key_vault", verb), command, answer, within=SOON)


async def lent(world: World, key: KeyView, purpose: str = "attempt") -> str:
    """The secret that the adapter gets."""
    me = RecipientKey.generate()
    lease = await world.lease(key, me, purpose)
    info = lease_info(
        workspace="default",
        request="attempt-1",
        key=key.id,
        version=key.version,
        endpoint=key.endpoint,
    )
    return me.open(lease.sealed, info).decode()


async def put_the_questions_now(world: World, pool: Pool) -> None:
    """As if the time had come."""
    world.asked = []
    await pool.execute("UPDATE checks SET due = now()")
    await world.verification.put_due()
