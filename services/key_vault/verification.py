"""Does the provider take the key? Asked by way of discussion, which alone decides about waiting.

A person's wish to verify is carried out at once. What must be asked later (a confirmation, a
provider that was away, a refused key, a vault that died between taking a key in and verifying it)
is a row with a time, so any replica can ask, and nothing is forgotten. About one key only one asks
at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog
from asyncpg import Record
from msgspec.structs import replace

from contracts.attempts import ProbeResult
from contracts.failures import Conflict, Refused, TimedOut, Unreachable
from contracts.keys import KeyState, KeyView
from contracts.providers import Provider
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from services.key_vault import addressbook
from services.key_vault.aggregate import Accepted, Judge, NoAnswer, Recognise, Verdict
from services.key_vault.at_rest import AtRestError
from services.key_vault.explanations import NOBODY_TO_ASK, may_pass, misplaced, verdict
from services.key_vault.store import REFUSED, Store
from services.key_vault.submission import region_by_form
from shared.bus import Bus

PATIENCE = timedelta(seconds=10)
"""How long a provider may take to list its models and tell a balance, with all that lies
between."""

_BUSY = PATIENCE * 3
"""If a question has not been settled by then, whoever put it is gone."""

_SOONEST = timedelta(seconds=5)
_LATEST = timedelta(minutes=15)
"""Between these, doubling, a question is put again that could not be settled. It costs nothing,
and less than once in a quarter of an hour is what billing gates allow themselves too."""

_RAREST = timedelta(days=1)
_MOST = 30
"""About a refused key it is asked once a day in the end, and after a month no more."""

_LOOK = timedelta(milliseconds=100)
_REMOVED = "Add its endpoint again and verify the key, or revoke the key."

_POLL = timedelta(seconds=1)
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

_GONE = frozenset({KeyState.DISABLED, KeyState.REVOKED})
_OPEN = frozenset({KeyState.PENDING, KeyState.SUSPECT, KeyState.QUARANTINED})

log = structlog.stdlib.get_logger("verification")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a provider said of a key."""

    said: Verdict
    again: bool = False
    """Asking again later makes sense."""
    account: str = ""
    """Our name for the account that the key belongs to, if the provider has named it."""


class Verification:
    """Asks providers about keys and draws the conclusions."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._woken = asyncio.Event()

    async def verify(self, workspace: str, key: str, *, thoroughly: bool = False) -> KeyView:
        """Ask now; the key as it is afterwards, with what was said if that changed nothing.

        Thoroughly: what is left in the account, too.
        """
        before = await self._store.key(workspace, key)
        if before.state in _GONE:
            disabled = before.state is KeyState.DISABLED
            raise Conflict(
                f"This key is {before.state}, so it is not verified. {before.reason}".strip(),
                next_step="Enable it, and it is verified."
                if disabled
                else "Add a new key if one is to be used.",
            )
        await addressbook.check(self._store.pool, workspace, before)
        async with self._store.asking(key, _BUSY) as ours:
            if ours:
                heard = await self._find_out(workspace, before, thoroughly=thoroughly)
                return await self.conclude(workspace, before, heard)
        await self._settled(key)
        return await self._store.key(workspace, key)

    async def _settled(self, key: str) -> None:
        """Wait until whoever is asking about the key has its answer: one question at a time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BUSY.total_seconds()):
                # Another replica may be the one that asks: there is nothing to be told by.
                while await self._store.is_asked_about(key):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK.total_seconds())

    async def conclude(self, workspace: str, before: KeyView, heard: Heard) -> KeyView:
        """Put on record what was said of the key; the key as it is then."""
        await self._put_on_record(workspace, before, heard)
        key, said = before.id, heard.said
        after = await self._store.key(workspace, key)
        if isinstance(said, Accepted) and said.balance is not None and not after.reason:
            return replace(after, reason=str(said.balance))
        if not isinstance(said, NoAnswer):
            return after
        if after.state is KeyState.PENDING and heard.again:
            await self._store.plan_check(workspace, key, _SOONEST)
        elif after.state is KeyState.PENDING:
            await self._store.drop_check(key)
        return replace(after, reason=said.reason, next_step=said.next_step)

    async def _look(self, workspace: str, key: KeyView) -> Heard:
        """Find out, and put on record."""
        heard = await self._find_out(workspace, key)
        await self._put_on_record(workspace, key, heard)
        return heard

    async def _put_on_record(self, workspace: str, key: KeyView, heard: Heard) -> None:
        said = heard.said
        if heard.account:
            account = Recognise(key=key.id, version=key.version, account=heard.account)
            await self._store.change(workspace, key.provider, account)
        command = Judge(key=key.id, version=key.version, verdict=said)
        events = await self._store.change(workspace, key.provider, command)
        log.info(
            "looked at a key",
            key=key.id,
            provider=key.provider,
            endpoint=key.endpoint,
            verdict=type(said).__name__,
            facts=[type(event).__name__ for event in events],
        )

    async def _find_out(self, workspace: str, key: KeyView, *, thoroughly: bool = False) -> Heard:
        secret = await self._store.secret(key, workspace)
        return await self.ask(workspace, key, secret, thoroughly=thoroughly)

    async def ask(
        self, workspace: str, key: KeyView, secret: str, *, thoroughly: bool = False
    ) -> Heard:
        """What the provider says of the key."""
        there = await addressbook.known(self._store.pool, workspace)
        row = there.rows.get(key.provider)
        if row is None:
            return Heard(NoAnswer(f"There is no provider {key.provider} any more.", _REMOVED))
        form = region_by_form(row, secret)
        if form is not None and form != key.region and _is_the_vendors_own(row, key):
            return Heard(misplaced(row, key, form))
        question = ProbeKey(
            workspace=workspace,
            provider=key.provider,
            endpoint=key.endpoint,
            key=key.id,
            version=key.version,
            balance=thoroughly,
            custom=there.custom.get(key.provider),
        )
        try:
            result = await self._bus.request(
                command_subject("discussion", "probe"), question, ProbeResult, within=PATIENCE
            )
        except (Refused, Unreachable, TimedOut) as error:
            log.warning("could not have a key looked at", key=key.id, error=str(error))
            return Heard(NOBODY_TO_ASK, again=True)
        account = result.account and self._store.identity.account(
            key.provider, key.endpoint, result.account
        )
        return Heard(verdict(row, key, result, form), may_pass(result), account)

    # --- What is still to be asked ----------------------------------------------------------

    def wake(self) -> None:
        """There may be something to ask now."""
        self._woken.set()

    async def run(self) -> None:
        """Put the questions that have come due, for ever."""
        while True:
            self._woken.clear()
            try:
                await self.put_due()
            except _LOST as error:
                log.warning("cannot look up what to verify", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL.total_seconds()):
                    await self._woken.wait()

    async def put_due(self) -> None:
        """Put every question that has come due."""
        while await self._put_one():
            pass

    async def _put_one(self) -> bool:
        check = await self._store.take_check(_BUSY)
        if check is None:
            return False
        key = await self._store.key(check["workspace"], check["key"])
        if key.state not in _OPEN:
            await self._store.drop_check(key.id)
            return True
        try:
            async with self._store.asking(key.id, _BUSY) as ours:
                if not ours:
                    return True  # it comes due again, should that come to nothing
                heard = await self._look(check["workspace"], key)
        except AtRestError:
            log.exception("a key cannot be read", alert=True, key=key.id)
            return True
        if key.state is KeyState.QUARANTINED:
            await self._leave_it_longer(check, key, heard.said)
            return True
        if isinstance(heard.said, NoAnswer):
            # A confirmation must be had, whatever stood in its way.
            if heard.again or key.state is KeyState.SUSPECT:
                await self._store.postpone_check(key.id, pause(check["tries"]))
            else:
                await self._store.drop_check(key.id)
        return True

    async def _leave_it_longer(self, check: Record, key: KeyView, said: Verdict) -> None:
        """Still refused, or nobody could say: later again, and not for ever."""
        if isinstance(said, Accepted):
            return  # it is in use, and the question was dropped with that
        if check["tries"] >= _MOST:
            await self._store.drop_check(key.id)
        else:
            await self._store.postpone_check(key.id, refused_pause(check["tries"]))


def refused_pause(tries: int) -> timedelta:
    """How long to leave a refused key after so many tries."""
    return min(REFUSED * 2 ** min(tries, 16), _RAREST)


def pause(tries: int) -> timedelta:
    """How long to leave it after so many tries."""
    return min(_SOONEST * 2 ** min(tries, 16), _LATEST)


def _is_the_vendors_own(row: Provider, key: KeyView) -> bool:
    """At an address of the operator's choosing, the operator decides what keys look like."""
    return any(region.base_url.rstrip("/") == key.endpoint for region in row.regions)
