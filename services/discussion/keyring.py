"""Which keys may be used, as key_vault's facts say; and what a key's return wakes."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog

from contracts.discussion_events import GateOpened
from contracts.endpoints import CustomProvider
from contracts.event import Event, UnknownEvent
from contracts.failures import Refused, TimedOut, Unavailable, Unreachable
from contracts.keys import (
    KEY_EVENTS,
    Done,
    EndpointChanged,
    EndpointList,
    KeyAccountSeen,
    KeyActivated,
    KeyAdded,
    KeyDisabled,
    KeyEnabled,
    KeyList,
    KeyQuarantined,
    KeyRevoked,
    KeyRotated,
    KeyState,
    KeySuspected,
    KeyVerified,
    KeyView,
    ListEndpoints,
    ListKeys,
    ReportKey,
)
from contracts.subjects import command_subject
from services.discussion import endpoints
from services.discussion.accounts import AccountRef
from services.discussion.probes import Probes
from services.discussion.sharing import name_account
from services.discussion.sql import SQL
from services.discussion.store import Store, provider_stream
from services.discussion.wakeups import Wakeup, drop
from shared.bus import Bus, Delivery
from shared.database import Connection
from shared.inbox import first_time

CONSUMER = "discussion-keys"
VAULT_WITHIN = timedelta(seconds=5)

KeyFact = (
    KeyAdded
    | KeyActivated
    | KeyRotated
    | KeySuspected
    | KeyQuarantined
    | KeyDisabled
    | KeyEnabled
    | KeyRevoked
)
"""Those that change a key's state."""

STATE_AFTER: dict[type[Event], KeyState] = {
    KeyAdded: KeyState.PENDING,
    KeyActivated: KeyState.ACTIVE,
    KeyRotated: KeyState.ACTIVE,
    KeySuspected: KeyState.SUSPECT,
    KeyQuarantined: KeyState.QUARANTINED,
    KeyDisabled: KeyState.DISABLED,
    KeyEnabled: KeyState.PENDING,
    KeyRevoked: KeyState.REVOKED,
}


class Keyring:
    """A projection of key_vault's facts, in discussion's own tables."""

    def __init__(self, store: Store, bus: Bus, probes: Probes) -> None:
        self._store = store
        self._bus = bus
        self._probes = probes
        self._log = structlog.stdlib.get_logger("keyring")

    async def heard(self, delivery: Delivery) -> None:
        """Handler of key_vault's facts."""
        try:
            fact = KEY_EVENTS.decode(delivery.data)
        except UnknownEvent as error:
            self._log.warning("passed over a fact of a newer version", tag=error.tag)
            return
        if not isinstance(fact, KeyFact | KeyVerified | KeyAccountSeen | EndpointChanged):
            return
        async with self._store.transaction() as conn:
            if not await first_time(conn, CONSUMER, delivery.id):
                return
            if isinstance(fact, EndpointChanged):
                await self._note_endpoint(conn, fact)
            else:
                await self._note(conn, fact)

    async def _note_endpoint(self, conn: Connection, fact: EndpointChanged) -> None:
        if await endpoints.note(conn, fact):
            await self._probes.schedule(conn, fact.workspace, fact.provider)
            await self._wake(conn, fact, "key", "model", cause="the endpoint changed")

    async def _note(self, conn: Connection, fact: KeyFact | KeyVerified | KeyAccountSeen) -> None:
        if isinstance(fact, KeyAccountSeen):
            await self._name_account(conn, fact)
            return
        if isinstance(fact, KeyVerified):
            # Somebody has topped up, perhaps, and asked to look again.
            if fact.balance is None or fact.balance.enough:
                await self._wake(conn, fact, "billing", cause="a key was verified")
            return
        active = isinstance(fact, KeyActivated | KeyRotated)
        told = await conn.execute(
            SQL["save_key"],
            fact.key,
            fact.workspace,
            fact.version,
            fact.provider,
            fact.endpoint,
            fact.account if active else "",
            STATE_AFTER[type(fact)].value,
            fact.at if active else None,
            fact.at,
            isinstance(fact, KeyAdded) and fact.pool,
        )
        if isinstance(fact, KeyAdded) and fact.pool:
            # That holds, whatever else may have been told of the key before.
            await conn.execute(SQL["join_pool"], fact.key)
        if told == "INSERT 0 0":
            return  # something newer is known of this key
        if active:
            # Another key may have another account, and other models.
            await self._wake(conn, fact, "key", "billing", "model", cause="a key became active")
        elif not isinstance(fact, KeyAdded):
            await self._turn_to_another(conn, fact)

    async def _name_account(self, conn: Connection, fact: KeyAccountSeen) -> None:
        former: str | None = await conn.fetchval(
            SQL["name_account"], fact.key, fact.version, fact.account
        )
        # Where the account had a name already, it was another one, and its doings stay its own.
        if former is not None and former == fact.key:
            ref = AccountRef(fact.workspace, fact.provider, fact.endpoint, former)
            await name_account(conn, ref, fact.key, fact.account)

    async def _wake(
        self,
        conn: Connection,
        fact: KeyFact | KeyVerified | EndpointChanged,
        *kinds: str,
        cause: str,
    ) -> None:
        """Open the gates of these kinds and let what was parked for them ask again.

        How fast they go is admission's matter: one alone until the key has proven itself, then
        as the limits allow, oldest first.
        """
        workspace, provider = fact.workspace, fact.provider
        await conn.execute(SQL["move_gates"], workspace, provider)
        opened = [
            row["gate"]
            for kind in kinds
            for row in await conn.fetch(SQL["open_gates"], workspace, provider, f"{kind}:")
        ]
        for kind in kinds:
            await conn.execute(SQL["wake_waiting"], f"{kind}:{provider}@{workspace}", None)
        for gate in opened:
            now = await self._store.clock(conn)
            await self._store.state_fact(
                conn,
                workspace,
                provider_stream(workspace, provider),
                GateOpened(at=now, workspace=workspace, provider=provider, gate=gate, cause=cause),
            )

    async def _turn_to_another(self, conn: Connection, fact: KeyFact) -> None:
        """One key is out of use; what was parked for it may go on with the next one."""
        await conn.execute(SQL["move_gates"], fact.workspace, fact.provider)
        if await conn.fetchrow(SQL["usable_key"], fact.workspace, fact.provider) is not None:
            waiting = f"key:{fact.provider}@{fact.workspace}"
            await conn.execute(SQL["wake_waiting"], waiting, None)

    async def look_again(self, workspace: str, provider: str | None) -> None:
        """Ask key_vault itself: a key added a moment ago may not have been told of yet.

        Without a provider, about the keys of all.
        """
        try:
            found = await self._bus.request(
                command_subject("key_vault", "list"),
                ListKeys(workspace=workspace, provider=provider),
                KeyList,
                within=VAULT_WITHIN,
            )
        except (Refused, Unreachable, TimedOut):
            return  # what is known stays
        async with self._store.transaction() as conn:
            for key in found.items:
                await self._take_over(conn, workspace, key)

    async def _take_over(self, conn: Connection, workspace: str, key: KeyView) -> None:
        await conn.execute(
            SQL["save_key"],
            key.id,
            workspace,
            key.version,
            key.provider,
            key.endpoint,
            key.account,
            key.state.value,
            key.activated_at,
            key.since or key.activated_at or await self._store.clock(conn),
            key.pool,
        )

    async def look_for_endpoints(self, workspace: str) -> None:
        """Ask key_vault itself for the endpoints: one added a moment ago may not be told of yet."""
        try:
            found = await self._bus.request(
                command_subject("key_vault", "list_endpoints"),
                ListEndpoints(workspace=workspace),
                EndpointList,
                within=VAULT_WITHIN,
            )
        except (Refused, Unreachable, TimedOut):
            return  # what is known stays
        async with self._store.transaction() as conn:
            for view in found.items:
                if view.since is None:
                    continue  # the operator's: it stands in our environment too
                row = msgspec.json.encode(
                    msgspec.convert(view, CustomProvider, from_attributes=True)
                )
                await endpoints.save(conn, workspace, view.name, row, view.since)

    async def report_due(self, wakeup: Wakeup) -> None:
        """Handler of `report` wake-ups: tell key_vault what a provider said of a key."""
        report = msgspec.json.decode(wakeup.payload, type=ReportKey)
        try:
            await self._bus.request(
                command_subject("key_vault", "report"), report, Done, within=VAULT_WITHIN
            )
        except Unavailable:
            raise  # it cannot keep it just now: the wake-up comes again
        except Refused as refused:
            # It knows the key no more, or knows better: nothing left to tell.
            self._log.info("report refused", key=report.key, why=str(refused))
        async with self._store.transaction() as conn:
            await drop(conn, wakeup)
