"""What a discussion will take, from the accounts as they stand: read, never locked."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import cast

import msgspec

from contracts.discussion import Estimate
from contracts.discussion_events import DiscussionOpened
from contracts.prices import Cost
from services.discussion import accounts, estimate, planning
from services.discussion.access import Access, Barrier, find_access
from services.discussion.admission import Account
from services.discussion.estimate import Line, Wanted
from services.discussion.line import LONG
from services.discussion.modes import PROCESSES
from services.discussion.modes.table import Planned
from services.discussion.sql import SQL
from services.discussion.store import Store
from shared.database import Connection

_decode_account = msgspec.json.Decoder(Account).decode


class Estimates:
    """Thinks a discussion through."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, conn: Connection, opened: DiscussionOpened, now: datetime) -> Estimate:
        """All turns that its mode will probably ask for. The time is left out where something has
        to be mended before.
        """
        stages = PROCESSES[opened.mode].plan(opened)
        wanted: list[list[tuple[str, Wanted]]] = []
        costs: list[Cost | None] = []
        for stage in stages:
            thought = [(planned, *_turn(opened, planned)) for planned in stage]
            wanted.append([(_model(opened, planned), turn) for planned, turn, _ in thought])
            costs += [price for _, _, price in thought]
        spans = [
            await self._takes(conn, opened.workspace, share, now)
            for share in await self._by_account(conn, opened.workspace, wanted)
        ]
        known = [span for span in spans if span is not None]
        return Estimate(
            tokens=sum(turn.tokens for stage in wanted for _, turn in stage),
            seconds=ceil(max(known).total_seconds()) if len(known) == len(spans) else None,
            cost=_sum(costs),
        )

    async def _by_account(
        self, conn: Connection, workspace: str, stages: list[list[tuple[str, Wanted]]]
    ) -> list[tuple[Access | None, list[list[Wanted]]]]:
        """Who shares an account shares its line."""
        found: dict[Access | None, list[list[Wanted]]] = {}
        for model in dict.fromkeys(model for stage in stages for model, _ in stage):
            access = await find_access(conn, workspace, model, self._store.clock)
            who = None if isinstance(access, Barrier) or access.suspect else access
            shares = found.setdefault(who, [[] for _ in stages])
            for share, stage in zip(shares, stages, strict=True):
                share += [turn for each, turn in stage if each == model]
        return list(found.items())

    async def _takes(
        self,
        conn: Connection,
        workspace: str,
        share: tuple[Access | None, list[list[Wanted]]],
        now: datetime,
    ) -> timedelta | None:
        access, stages = share
        if access is None:
            return None
        ref = access.ref
        record = await conn.fetchval(
            SQL["read_account"], workspace, ref.provider, ref.endpoint, ref.account
        )
        line = Line(
            account=Account() if record is None else _decode_account(cast("bytes", record)),
            limits=await accounts.limits_of(conn, ref),
            key=access.key_name,
            ahead=cast("int", await conn.fetchval(SQL["line_length"], ref.places, LONG)),
        )
        return estimate.takes(line, stages, now)


def _model(opened: DiscussionOpened, planned: Planned) -> str:
    return opened.participants[planned.participant].model


def _turn(opened: DiscussionOpened, planned: Planned) -> tuple[Wanted, Cost | None]:
    worst = planning.worst(opened, planned)
    return Wanted(worst.question + worst.answer, worst.answer), worst.cost


def _sum(costs: list[Cost | None]) -> Cost | None:
    """None where one of the prices is not known: a part of a sum would mislead."""
    known = [each.amount for each in costs if each is not None]
    if len(known) < len(costs):
        return None
    return Cost(amount=sum(known, Decimal(0)).normalize())
