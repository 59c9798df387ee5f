"""A look at a provider's models: availability, the catalog, and whether a key works, all in one.

`GET /models` costs nothing, but it is a request like any other: it takes a permit.
"""

from __future__ import annotations

import asyncio
import os
import random
from datetime import timedelta
from typing import Literal

import msgspec
import structlog
from msgspec import structs

from contracts.attempts import KeyRef, ProbeResult, RunProbe
from contracts.discussion_events import GateOpened, ModelCatalogRefreshed
from contracts.endpoints import CustomProvider
from contracts.failures import Balance, Evidence, FailureClass, Refused, TimedOut, Unreachable
from contracts.providers import PROVIDERS
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from services.discussion import accounts, admission, endpoints, line
from services.discussion.accounts import AccountRef
from services.discussion.backoff import Dice
from services.discussion.reactions import gate_name
from services.discussion.settings import keyless_addresses
from services.discussion.sql import SQL
from services.discussion.store import Store, provider_stream
from services.discussion.wakeups import Wakeup, postpone, set_wakeup
from shared.bus import Bus
from shared.database import Connection
from shared.ids import fresh

PROBE_WITHIN = timedelta(seconds=8)
"""Under the ten seconds that a person waits for the answer to a new key."""

REFRESH = timedelta(minutes=10)
"""The same where there is no key."""

HOUR = timedelta(hours=1)
"""How old a key's list becomes before it is looked at again."""

JITTER = 0.2
"""So much later at most, for keys that were added together not to be looked at together."""

SOONEST = timedelta(seconds=1)
LATEST = timedelta(seconds=60)

KEYLESS_WORKSPACE = "default"
"""Whose catalog a provider without keys is in; one workspace exists so far."""


def next_look(dice: Dice = random.random) -> timedelta:
    """When a key's list is looked at again by itself: never sooner than in an hour."""
    return HOUR * (1 + JITTER * dice())


class Probes:
    """Asks the adapter to look, and keeps what it saw."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._log = structlog.stdlib.get_logger("probes")

    async def asked(self, command: ProbeKey) -> ProbeResult:
        """The verb `probe`: key_vault wants to know whether a key works."""
        async with self._store.reading() as conn:
            named = await conn.fetchval(SQL["account_of_key"], command.key)
            account = named or command.key
            gate = f"billing:{command.endpoint}:{account}"
            in_debt = await conn.fetchval(SQL["gate_closed_at"], command.workspace, gate)
        ref = AccountRef(command.workspace, command.provider, command.endpoint, account)
        key = KeyRef(key=command.key, version=command.version)
        begun = asyncio.get_running_loop().time()
        result = await self.look(ref, key, command.custom)
        left = PROBE_WITHIN - timedelta(seconds=asyncio.get_running_loop().time() - begun)
        billed = result.failure is FailureClass.BILLING
        if left < SOONEST or not (command.balance or in_debt or billed):
            return result
        if result.failure is not None and not billed:
            return result
        balance = await self.balance(ref, key, within=left)
        return structs.replace(result, balance=balance)

    async def balance(
        self, ref: AccountRef, key: KeyRef, *, within: timedelta = PROBE_WITHIN
    ) -> Balance | None:
        """What is left in the account; None if its provider does not tell, or not now."""
        row = PROVIDERS.get(ref.provider)
        if row is None or not row.balance_in(ref.endpoint, os.environ):
            return None
        return (await self.look(ref, key, at="balance", within=within)).balance

    async def schedule_keyless(self) -> None:
        """See to it that the catalogs of providers without keys are kept up."""
        async with self._store.transaction() as conn:
            there = await endpoints.known(conn, KEYLESS_WORKSPACE)
            for provider in keyless_addresses(rows=there.rows):
                await self.schedule(conn, KEYLESS_WORKSPACE, provider)

    async def schedule(self, conn: Connection, workspace: str, provider: str) -> None:
        """Look at the models of a provider without keys now, and from now on."""
        there = await endpoints.known(conn, workspace)
        address = keyless_addresses(rows=there.rows).get(provider, "")
        await conn.execute(SQL["drop_catalogs"], workspace, provider, address)
        if not address:
            return
        await set_wakeup(
            conn,
            "catalog",
            f"{workspace}/{provider}",
            workspace=workspace,
            due=await self._store.clock(conn),
            payload=provider.encode(),
        )

    async def catalog_due(self, wakeup: Wakeup) -> None:
        """Handler of `catalog` wake-ups: look again, sooner if the last look failed."""
        provider = wakeup.payload.decode()
        address = await self._address(wakeup.workspace, provider)
        if address is None:
            async with self._store.transaction() as conn:
                await conn.execute(SQL["drop_catalogs"], wakeup.workspace, provider, "")
                await conn.execute(SQL["drop_wakeup"], wakeup.kind, wakeup.subject)
            return
        ref = AccountRef(wakeup.workspace, provider, address, "local")
        result = await self.look(ref, None)
        failed = result.failure is not None
        wait = min(SOONEST * 2 ** min(wakeup.tries, 6), LATEST) if failed else REFRESH
        async with self._store.transaction() as conn:
            await postpone(conn, wakeup, wait, failed=failed)

    async def look_now(self, workspace: str, provider: str) -> None:
        """Somebody asks for a provider without keys of which nothing is known yet."""
        if address := await self._address(workspace, provider):
            await self.look(AccountRef(workspace, provider, address, "local"), None)

    async def _address(self, workspace: str, provider: str) -> str | None:
        """Where a provider without keys is, as of now."""
        async with self._store.reading() as conn:
            there = await endpoints.known(conn, workspace)
        return keyless_addresses(rows=there.rows).get(provider)

    async def look(
        self,
        ref: AccountRef,
        key: KeyRef | None,
        told: CustomProvider | None = None,
        *,
        at: Literal["models", "balance"] = "models",
        within: timedelta = PROBE_WITHIN,
    ) -> ProbeResult:
        """One look, if there is room for it; what was seen is kept.

        `told`: what the asker knows of an endpoint that may not have been heard of here.
        """
        probe = fresh()
        if (denied := await self._admit(ref, probe)) is not None:
            return denied
        try:
            result = await self._ask(ref, key, probe, told, at, within)
        finally:
            await self._release(ref, probe)
        if result.failure is None and at == "models":
            await self._keep(ref, key, result)
        return result

    async def _admit(self, ref: AccountRef, probe: str) -> ProbeResult | None:
        async with self._store.transaction() as conn:
            account, now = await accounts.lock_to_admit(conn, ref, self._store.clock)
            limits = await accounts.limits_of(conn, ref)
            ask = admission.Ask(attempt=probe, free=True)
            verdict = admission.admit(account, limits, ask, now=now, holds=2 * PROBE_WITHIN)
            await accounts.save(conn, ref, verdict.account)
        match verdict:
            case admission.Admitted() | admission.TooLarge():
                return None
            case admission.Denied(reason=reason, not_before=not_before):
                return ProbeResult(
                    failure=FailureClass.THROTTLED,
                    evidence=Evidence(
                        message=f"The account has no room just now ({reason}).",
                        retry_after=(not_before - now).total_seconds(),
                    ),
                    sent=False,
                )

    async def _release(self, ref: AccountRef, probe: str) -> None:
        async with self._store.transaction() as conn:
            account = admission.release(await accounts.lock(conn, ref), probe)
            await accounts.save(conn, ref, account)
            now = await self._store.clock(conn)
            await line.call_next(conn, ref, account, await accounts.limits_of(conn, ref), now)

    async def _ask(
        self,
        ref: AccountRef,
        key: KeyRef | None,
        probe: str,
        told: CustomProvider | None,
        at: Literal["models", "balance"],
        within: timedelta,
    ) -> ProbeResult:
        async with self._store.transaction() as conn:
            now = await self._store.clock(conn)
            custom = told or await endpoints.custom(conn, ref.workspace, ref.provider)
        command = RunProbe(
            workspace=ref.workspace,
            request=probe,
            provider=ref.provider,
            endpoint=ref.endpoint,
            key=key,
            expires_at=now + within,
            at=at,
            custom=custom,
        )
        try:
            return await self._bus.request(
                command_subject("provider_adapter", "probe"),
                command,
                ProbeResult,
                within=within,
            )
        except Unreachable:
            why = "No adapter is running."
        except TimedOut:
            why = "The provider did not answer in time."
        except Refused as refused:
            why = str(refused)
        return ProbeResult(failure=FailureClass.TRANSIENT, evidence=Evidence(message=why))

    async def _keep(self, ref: AccountRef, key: KeyRef | None, result: ProbeResult) -> None:
        """The catalog is fresh: turns that were parked for a model may look again."""
        async with self._store.transaction() as conn:
            now = await self._store.clock(conn)
            await conn.execute(
                SQL["save_catalog"],
                ref.workspace,
                ref.provider,
                ref.endpoint,
                key.key if key else "",
                msgspec.json.encode(result.models),
                now,
            )
            if key is not None:
                await conn.execute(SQL["set_look"], key.key, ref.workspace, next_look())
            await conn.execute(SQL["move_gates"], ref.workspace, ref.provider)
            models = [model.id for model in result.models]
            # Only those that are there: the others would be refused again.
            names = [gate_name(FailureClass.MODEL, ref, model, "") for model in models]
            opened = await conn.fetch(SQL["open_these"], ref.workspace, names)
            # A provider without keys that answers is there again: nobody else says so.
            for kind in ("model", "key") if key is None else ("model",):
                await conn.execute(
                    SQL["wake_waiting"], f"{kind}:{ref.provider}@{ref.workspace}", None
                )
            await self._store.state_fact(
                conn,
                ref.workspace,
                provider_stream(ref.workspace, ref.provider),
                ModelCatalogRefreshed(
                    at=now,
                    workspace=ref.workspace,
                    provider=ref.provider,
                    endpoint=ref.endpoint,
                    models=models,
                ),
            )
            for row in opened:
                fact = GateOpened(
                    at=now,
                    workspace=ref.workspace,
                    provider=ref.provider,
                    gate=row["gate"],
                    cause="the provider lists the model",
                )
                stream = provider_stream(ref.workspace, ref.provider)
                await self._store.state_fact(conn, ref.workspace, stream, fact)
