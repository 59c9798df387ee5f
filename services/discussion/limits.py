"""Limits that an administrator sets while the house runs: in force from the next request on."""

from __future__ import annotations

import msgspec

from contracts.failures import Invalid, NotFound
from contracts.providers import Limits
from contracts.supply import SetLimits
from services.discussion import accounts, admission, endpoints, line
from services.discussion.accounts import AccountRef
from services.discussion.admission import Account
from services.discussion.sql import SQL
from shared.database import Connection

KINDS = ("rpm", "tpm", "tpd", "concurrency")

_decode_account = msgspec.json.Decoder(Account).decode


async def change(conn: Connection, command: SetLimits) -> None:
    """Carry it out; Invalid or NotFound say what is wrong."""
    if await endpoints.provider(conn, command.workspace, command.provider) is None:
        raise NotFound(
            f"There is no provider {command.provider!r}.",
            next_step="GET /api/v1/providers lists them.",
        )
    limits = None if command.limits is None else _limits(command.limits)
    await accounts.set_limits(conn, command.workspace, command.provider, limits, by=command.by)
    for row in await conn.fetch(SQL["accounts_of_provider"], command.workspace, command.provider):
        ref = AccountRef(command.workspace, command.provider, row["endpoint"], row["account"])
        account = _decode_account(row["record"])
        await accounts.save(conn, ref, admission.unlearnt(account))
        await line.call_all(conn, ref)


def _limits(told: dict[str, int]) -> Limits:
    for kind, value in told.items():
        if kind not in KINDS:
            raise Invalid(
                f"{kind!r} is no limit: there are {', '.join(KINDS)}.",
                next_step="Name one of these.",
            )
        if value < 1:
            raise Invalid(
                f"{kind} must be a whole number from 1.",
                next_step="Leave it out for no limit of this kind.",
            )
    return Limits(**told)
