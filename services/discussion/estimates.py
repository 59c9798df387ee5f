"""What a discussion will take, from the accounts as they stand: read, never locked."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import cast

import msgspec

from contracts.discussion import Cost, DiscussionOpened, Estimate
from contracts.stream import Usage, UsageStatus
from services.discussion import accounts, estimate, prompting
from services.discussion.admission import Account
from services.discussion.estimate import Line, Wanted
from services.discussion.line import LONG
from services.discussion.pricing import cost, price_of
from services.discussion.sql import SQL
from services.discussion.turns import Access, Barrier, Turns
from shared.database import Connection

_decode_account = msgspec.json.Decoder(Account).decode


class Estimates:
    """Thinks a discussion through."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def of(self, conn: Connection, opened: DiscussionOpened, now: datetime) -> Estimate:
        """All that speak first. The time is left out where something has to be mended before."""
        wanted: dict[str, list[Wanted]] = defaultdict(list)
        costs: list[Cost | None] = []
        for index, participant in enumerate(opened.participants):
            turn, price = _turn(opened, index)
            wanted[participant.model].append(turn)
            costs.append(price)
        spans = [
            await self._takes(conn, opened.workspace, turns, now)
            for turns in await self._by_account(conn, opened.workspace, wanted)
        ]
        known = [span for span in spans if span is not None]
        return Estimate(
            tokens=sum(turn.tokens for turns in wanted.values() for turn in turns),
            seconds=ceil(max(known).total_seconds()) if len(known) == len(spans) else None,
            cost=_sum(costs),
        )

    async def _by_account(
        self, conn: Connection, workspace: str, wanted: dict[str, list[Wanted]]
    ) -> list[tuple[Access | None, list[Wanted]]]:
        """Who shares an account shares its line."""
        found: dict[Access | None, list[Wanted]] = defaultdict(list)
        for model, turns in wanted.items():
            access = await self._turns.access(conn, workspace, model)
            if isinstance(access, Barrier) or access.suspect:
                found[None] += turns
            else:
                found[access] += turns
        return list(found.items())

    async def _takes(
        self,
        conn: Connection,
        workspace: str,
        share: tuple[Access | None, list[Wanted]],
        now: datetime,
    ) -> timedelta | None:
        access, turns = share
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
        return estimate.takes(line, turns, now)


def _turn(opened: DiscussionOpened, index: int) -> tuple[Wanted, Cost | None]:
    parameters = prompting.parameters(opened, index)
    tokens = prompting.tokens(prompting.messages(opened, index), parameters)
    longest = parameters.max_completion_tokens
    usage = Usage(
        input_tokens=tokens - longest, output_tokens=longest, status=UsageStatus.ESTIMATED
    )
    return Wanted(tokens, longest), cost(price_of(opened, index), usage)


def _sum(costs: list[Cost | None]) -> Cost | None:
    """None where one of the prices is not known: a part of a sum would mislead."""
    known = [each.amount for each in costs if each is not None]
    if len(known) < len(costs):
        return None
    return Cost(amount=sum(known, Decimal(0)).normalize())
