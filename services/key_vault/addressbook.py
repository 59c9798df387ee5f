"""Which providers a workspace has, and at which address each is to be found.

An endpoint's key is bound to the address that it was added for. When the endpoint moves or goes,
the key does not follow: in the same transaction it is put aside, with the reason, and until it is
rotated nobody is lent it. So nobody who can change an address can have a key sent there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import cast

import msgspec
import structlog
from msgspec.structs import asdict, replace

from contracts.addresses import BadAddress, normal_form
from contracts.endpoints import (
    LIMITS,
    BadEndpoint,
    CustomProvider,
    Directory,
    NameTaken,
    check_name,
    configured,
    directory,
    ports,
)
from contracts.failures import Conflict, Invalid, NotFound
from contracts.keys import (
    AddEndpoint,
    ChangeEndpoint,
    EndpointChanged,
    EndpointView,
    KeyView,
    RemoveEndpoint,
)
from contracts.providers import PROVIDERS
from services.key_vault import endpoints
from services.key_vault.aggregate import Strand
from services.key_vault.endpoints import (
    AlreadyThere,
    Command,
    Endpoints,
    NoSuchEndpoint,
    TooMany,
)
from services.key_vault.sql import SQL
from services.key_vault.store import Store
from shared.database import Connection, Pool

_decode = msgspec.json.Decoder(CustomProvider).decode

log = structlog.stdlib.get_logger("endpoints")

# --- Looking up -----------------------------------------------------------------------------


async def known(conn: Connection | Pool, workspace: str) -> Directory:
    """Every provider that the workspace has."""
    rows = await conn.fetch(SQL["list_endpoints"], workspace)
    return directory([_decode(row["row"]) for row in rows])


async def listed(store: Store, workspace: str) -> list[EndpointView]:
    """The operator's, then the workspace's own."""
    own = configured()
    rows = await store.pool.fetch(SQL["list_endpoints"], workspace)
    return [
        *(EndpointView(**asdict(each), configured=True) for each in own.values()),
        *(
            EndpointView(**asdict(_decode(row["row"])), since=row["since"])
            for row in rows
            if row["name"] not in own
        ),
    ]


@dataclass(frozen=True, slots=True)
class Stranded:
    """Why a key is of no use at the present address of its provider, and what to do."""

    reason: str
    next_step: str


def stranded(named: str, endpoint: str, there: Directory) -> Stranded | None:
    """Whether a key for this address is left behind; never one of a built-in provider."""
    if named in PROVIDERS:
        return None
    row = there.custom.get(named)
    if row is None:
        return Stranded(
            f"The endpoint {named} was removed; nobody is lent its keys.",
            f"Add the endpoint again, with the address {endpoint}, and verify the key; or revoke "
            "the key.",
        )
    if row.base_url == endpoint:
        return None
    return Stranded(
        f"This key was added for {endpoint}. {row.title or named} is at {row.base_url} now, and "
        "a key does not follow to another address.",
        "Rotate the key, with the same secret if you trust the new address with it; or add another "
        "key.",
    )


async def check(conn: Connection | Pool, workspace: str, key: KeyView) -> None:
    """Conflict if the key is not for the address where its provider is now."""
    if key.provider in PROVIDERS:
        return
    left = stranded(key.provider, key.endpoint, await known(conn, workspace))
    if left is not None:
        raise Conflict(left.reason, next_step=left.next_step, slug="key-left-behind")


# --- Changing -------------------------------------------------------------------------------


async def add(store: Store, wish: AddEndpoint) -> EndpointView:
    row = _checked(wish.endpoint)
    if row.name in configured():
        raise _taken(f"{row.name} is an endpoint of the operator's.")
    return await _change(store, wish.workspace, endpoints.Add(endpoint=row, by=wish.by), row.name)


async def change(store: Store, wish: ChangeEndpoint) -> EndpointView:
    row = _checked(wish.endpoint)
    _own(row.name)
    command = endpoints.Change(endpoint=row, by=wish.by)
    return await _change(store, wish.workspace, command, row.name)


async def remove(store: Store, wish: RemoveEndpoint) -> None:
    _own(wish.name)
    command = endpoints.Remove(name=wish.name, by=wish.by)
    await _change(store, wish.workspace, command, wish.name)


def _own(name: str) -> None:
    if name in configured():
        raise Conflict(
            f"{name} stands in the operator's environment, so it is changed there only.",
            next_step="Ask the operator; see docs/endpoints.md.",
            slug="endpoint-configured",
        )


async def _change(store: Store, workspace: str, command: Command, name: str) -> EndpointView:
    async def work(conn: Connection) -> Sequence[KeyView]:
        stream = f"Endpoints_{workspace}"  # no provider's name has a capital: no ring is called so
        recorded = await store.journal.load(conn, stream)
        facts = [cast("EndpointChanged", fact.event) for fact in recorded]
        state = endpoints.replay(Endpoints(workspace), facts)
        now = datetime.now(UTC)
        events = endpoints.decide(command, state, now=now)
        await store.append(conn, stream, len(recorded), events, workspace)
        return await _strand(store, conn, workspace, name) if events else ()

    try:
        left = await store.in_transaction(work)
    except AlreadyThere as error:
        raise _taken(f"{name} is an endpoint already, at {error.base_url}.") from error
    except NoSuchEndpoint as error:
        there = await listed(store, workspace)
        raise NotFound(
            f"There is no endpoint {name[:40]!r}.",
            next_step="GET /api/v1/endpoints lists them.",
            nearest=get_close_matches(name[:40], [each.name for each in there], n=3),
        ) from error
    except TooMany as error:
        raise Conflict(
            f"There are {endpoints.MOST} endpoints already.",
            next_step="Remove one that is of no more use.",
        ) from error
    log.info("endpoint changed", workspace=workspace, endpoint=name, keys_left_behind=len(left))
    view = next((each for each in await listed(store, workspace) if each.name == name), None)
    if view is None:
        return EndpointView(name=name, base_url="")
    if not left:
        return view
    return replace(
        view,
        reason=f"{len(left)} of its keys were added for another address, and do not follow: they "
        "are out of use.",
        next_step="Rotate them, with the same secret if you trust the new address with it; or add "
        "another key.",
    )


async def _strand(
    store: Store, conn: Connection, workspace: str, provider: str
) -> Sequence[KeyView]:
    """Put aside the keys that are for another address; answers those."""
    there = await known(conn, workspace)
    left: list[KeyView] = []
    for key in await store.keys_in(conn, workspace, provider):
        why = stranded(provider, key.endpoint, there)
        if why is not None:
            command = Strand(key=key.id, reason=why.reason, next_step=why.next_step)
            if await store.change_in(conn, workspace, provider, command):
                left.append(key)
    return left


async def settle(store: Store) -> None:
    """At the start: the operator may have moved or removed endpoints meanwhile."""
    for row in await store.pool.fetch(SQL["providers_with_keys"], list(PROVIDERS)):
        workspace, provider = row["workspace"], row["provider"]

        async def work(
            conn: Connection, workspace: str = workspace, provider: str = provider
        ) -> Sequence[KeyView]:
            return await _strand(store, conn, workspace, provider)

        if left := await store.in_transaction(work):
            log.warning(
                "keys are out of use: their endpoint has another address, or is gone",
                provider=provider,
                keys=[key.id for key in left],
            )


# --- What may be added ----------------------------------------------------------------------


def _checked(row: CustomProvider) -> CustomProvider:
    """The row in its normal form; Invalid or Conflict says what is wrong with it."""
    try:
        check_name(row.name)
    except NameTaken as error:
        raise _taken(str(error)) from error
    except BadEndpoint as error:
        raise _invalid("name", str(error), "Choose another name.") from error
    try:
        base_url = normal_form(row.base_url.strip(), ports())
    except BadAddress as error:
        raise _invalid("base_url", str(error), error.next_step) from error
    for name, value in row.limits.items():
        if name not in LIMITS or value < 1:
            raise _invalid(
                "limits",
                f"{name[:40]!r} is not one of {', '.join(LIMITS)}, or is below 1.",
                'Give them as {"rpm": 100, "concurrency": 20}.',
            )
    return replace(row, base_url=base_url, title=row.title.strip())


def _invalid(field: str, message: str, next_step: str) -> Invalid:
    return Invalid(
        message,
        next_step=next_step,
        slug=f"bad-{field.replace('_', '-')}",
        title="This endpoint cannot be added",
        errors=[{"field": field, "message": message}],
    )


def _taken(message: str) -> Conflict:
    return Conflict(
        message,
        next_step="Choose another name; GET /api/v1/providers lists those that are taken.",
        slug="endpoint-name-taken",
        title="This name is taken",
    )
