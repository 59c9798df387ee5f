"""With which key, at which address and on whose account a turn can be attempted now.

Or what stands against it: no key that works, a closed gate.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from contracts.attempts import KeyRef
from contracts.failures import Failure, FailureClass
from contracts.providers import Provider
from services.discussion import accounts, choosing, endpoints
from services.discussion.accounts import AccountRef, Clock
from services.discussion.reactions import gate_name
from services.discussion.settings import keyless_addresses
from services.discussion.sql import SQL
from services.discussion.words import explain
from shared.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """With which key, at which address, on whose account."""

    ref: AccountRef
    key: KeyRef | None
    suspect: bool = False
    """The key was refused although it has worked; what needs it waits for the confirmation."""

    @property
    def key_name(self) -> str:
        return f"{self.key.key}:{self.key.version}" if self.key else ""


@dataclass(frozen=True, slots=True)
class Barrier:
    """Something that a person or an event must mend before anything is sent."""

    gate: str
    """What the turn is parked for, e.g. `key:kimi`."""
    failure: Failure
    passable: Access | None = None
    """With what it can be tried all the same, by who insists: a bill may have been paid, a model
    may be there again. A key that was refused is not shown again, whoever asks."""


async def find_access(
    conn: Connection, workspace: str, full_name: str, clock: Clock
) -> Access | Barrier:
    """With what a turn on this model could be attempted now, or what stands against it."""
    provider, _, model = full_name.partition("/")
    row = await endpoints.provider(conn, workspace, provider)
    if row is None:
        return Barrier(f"key:{provider}", _no_access(full_name, row))
    access = await _key(conn, workspace, row, model, clock)
    while access is not None and not access.suspect:
        if (barrier := await _closed_gate(conn, access, model)) is not None:
            return barrier
        before, access = access, await _key(conn, workspace, row, model, clock)
        if access == before:
            return before
        # A new secret has opened the gate of the former one, which must not be shown again.
    return access or Barrier(f"key:{provider}", _no_access(full_name, row))


async def _key(
    conn: Connection, workspace: str, row: Provider, model: str, clock: Clock
) -> Access | None:
    provider = row.name
    if not row.needs_key:
        address = keyless_addresses(rows={provider: row}).get(provider)
        ref = AccountRef(workspace, provider, address or "", "local")
        return Access(ref=ref, key=None) if address else None
    key = await conn.fetchrow(SQL["usable_key"], workspace, provider)
    if key is None:
        return None
    suspect, pooled = key["suspect"], key["pooled"] and not key["suspect"]
    if pooled:
        limits = await accounts.limits_of(conn, AccountRef(workspace, provider, "", ""))
        now = await clock(conn)
        best = await choosing.best_of_pool(conn, workspace, provider, model, limits, now)
        key = best or key
    custom = await endpoints.custom(conn, workspace, provider)
    if custom is not None and custom.base_url != key["endpoint"]:
        return None  # its endpoint has moved, and it does not follow
    ref = AccountRef(workspace, provider, key["endpoint"], key["account"] or key["key"], pooled)
    return Access(
        ref=ref,
        key=KeyRef(key=key["key"], version=key["version"]),
        suspect=suspect,
    )


async def _closed_gate(conn: Connection, access: Access, model: str) -> Barrier | None:
    names = {
        gate_name(class_, access.ref, model, access.key_name): kind
        for class_, kind in (
            (FailureClass.AUTH, "key"),
            (FailureClass.MODEL, "model"),
            (FailureClass.BILLING, "billing"),
        )
    }
    row = await conn.fetchrow(SQL["closed_gates"], access.ref.workspace, list(names))
    if row is None:
        return None
    failure = msgspec.json.decode(row["failure"], type=Failure)
    kind = names[row["gate"]]
    passable = None if kind == "key" else access
    return Barrier(f"{kind}:{access.ref.provider}", failure, passable)


def _no_access(model: str, row: Provider | None) -> Failure:
    provider = model.partition("/")[0]
    if row is None:
        return Failure(
            class_=FailureClass.MODEL,
            title=f"There is no provider {provider} any more",
            detail="Its endpoint was removed while this was still to be answered.",
            next_step=f"Add it again: parley endpoints add {provider}. What waits goes on by "
            "itself then. Or ask again with another model.",
            retryable=True,
        )
    title = row.title
    if not row.needs_key:
        return Failure(
            class_=FailureClass.MODEL,
            title=f"{title} is not running",
            detail="This provider has no address here.",
            next_step=f"{row.absent} Or ask again with another model.".strip(),
            retryable=True,
        )
    failure = explain(FailureClass.AUTH, model)
    return msgspec.structs.replace(
        failure,
        title=f"There is no working key for {title}",
        detail="None of its keys is active; GET /api/v1/keys says what is wrong with each.",
    )
