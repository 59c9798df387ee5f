"""A secret is tried before it is kept: a key's next one, or one whose region nobody has named.

Until its provider has taken it, nothing that works is touched; if it is refused, it is destroyed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from contracts.failures import Conflict, Invalid, Unavailable
from contracts.keys import KeyState, KeyView
from contracts.providers import PROVIDERS, Provider, Region
from services.key_vault import addressbook
from services.key_vault.aggregate import (
    Accepted,
    AlreadyHere,
    Denied,
    NoAnswer,
    NotAsItIs,
    Overtaken,
    Rotate,
)
from services.key_vault.explanations import bound_to, refused_by_both
from services.key_vault.store import Store
from services.key_vault.submission import endpoint_of, region_by_form, region_named
from services.key_vault.verification import Heard, Verification

# --- The next secret of a key ---------------------------------------------------------------


async def rotate(
    store: Store, verification: Verification, workspace: str, key: KeyView, secret: str, by: str
) -> KeyView:
    """The key with its new secret; Conflict, Invalid, Unavailable say why it has the old one."""
    fingerprint = store.identity.fingerprint(secret)
    present = await _present(store, workspace, key)
    if fingerprint == key.fingerprint and key.state not in _ASIDE and key.endpoint == present:
        # It has this secret: sent twice, perhaps. All there is to find out is whether it works.
        return key if key.state is KeyState.ACTIVE else await verification.verify(workspace, key.id)
    _check(key)
    version = await store.next_version(workspace, key.id)
    candidate = replace(
        key, version=version, endpoint=present, fingerprint=fingerprint, proven=False
    )
    async with store.trial(workspace, candidate, secret):
        heard = await verification.ask(workspace, candidate, secret)
        command = Rotate(
            key=key.id,
            version=version,
            fingerprint=fingerprint,
            verdict=heard.said,
            endpoint=present,
            account=heard.account,
            by=by,
        )
        try:
            await store.rotate(workspace, candidate, command, secret)
        except NotAsItIs as error:
            raise _aside(await store.key(workspace, error.key)) from error
        except Overtaken as error:
            raise Conflict(
                "Somebody has rotated this key at the same time, and was faster.",
                next_step="Look at the key; rotate it again if it is not as you want it.",
            ) from error
        except AlreadyHere as error:
            raise Conflict(
                f"This secret is here already, as the key {error.key}.",
                next_step="Use that key, or take another secret for this one.",
                slug="key-already-here",
            ) from error
    if isinstance(heard.said, Accepted):
        return await store.key(workspace, key.id)
    raise _not_rotated(heard.said, again=heard.again)


async def _present(store: Store, workspace: str, key: KeyView) -> str:
    """Where the new secret is for: an endpoint may have moved since the key was added.

    Whoever enters a secret now means the address of now.
    """
    if key.provider in PROVIDERS:
        return key.endpoint
    row = (await addressbook.known(store.pool, workspace)).custom.get(key.provider)
    if row is None:
        await addressbook.check(store.pool, workspace, key)
        return key.endpoint
    return row.base_url


def _not_rotated(said: Denied | NoAnswer, *, again: bool) -> Exception:
    kept = "The former secret stays in use."
    if isinstance(said, Denied):
        return Invalid(
            f"{said.reason} {kept}",
            next_step=said.next_step,
            slug="key-not-rotated",
            title="The provider does not take the new secret",
            errors=[{"field": "secret", "message": said.reason}],
        )
    refusal = Unavailable if again else Conflict
    return refusal(
        f"The new secret could not be verified, so it was not taken. {said.reason} {kept}",
        next_step="Rotate again once the provider answers." if again else said.next_step,
        slug="key-not-verified",
        title="The new secret could not be verified",
    )


_ASIDE = frozenset({KeyState.DISABLED, KeyState.REVOKED})


def _check(key: KeyView) -> None:
    if key.state in _ASIDE:
        raise _aside(key)


def _aside(key: KeyView) -> Conflict:
    return Conflict(
        f"This key is {key.state}, so it gets no new secret. {key.reason}".strip(),
        next_step="Add the new secret as a key of its own.",
        slug=f"key-{key.state}",
    )


# --- A key whose region nobody has named ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Where the key belongs, and what was said of it there."""

    region: Region
    heard: Heard
    note: str = ""


async def find_region(
    store: Store, verification: Verification, workspace: str, key: KeyView, secret: str
) -> Found:
    """Try the likelier host, and the vendor's other one once if that refuses the key.

    Only called with the person's consent: it shows the key to a second host.
    """
    row = (await addressbook.known(store.pool, workspace)).rows[key.provider]
    first = region_named(row, region_by_form(row, secret))
    heard = await _try(store, verification, workspace, key, secret, first)
    said = heard.said
    other = _other(row, first, os.environ)
    if other is None or not isinstance(said, Denied) or said.evidence.status != _UNKNOWN_KEY:
        return Found(first, heard)
    there = await _try(store, verification, workspace, key, secret, other)
    hosts = endpoint_of(first, os.environ), endpoint_of(other, os.environ)
    match there.said:
        case Accepted():
            return Found(other, there, bound_to(*hosts))
        case Denied() | NoAnswer():
            return Found(first, Heard(refused_by_both(row, *hosts, said, there.said)))


_UNKNOWN_KEY = 401
"""Only this can mean another region; a 403 knows the key."""


async def _try(
    store: Store,
    verification: Verification,
    workspace: str,
    key: KeyView,
    secret: str,
    region: Region,
) -> Heard:
    candidate = replace(key, region=region.name, endpoint=endpoint_of(region, os.environ))
    async with store.trial(workspace, candidate, secret):
        return await verification.ask(workspace, candidate, secret)


def _other(row: Provider, first: Region, environment: Mapping[str, str]) -> Region | None:
    """The one other host whose keys look the same.

    Where the operator has put an address of their own in place of one host only, the vendor's
    other host is no substitute for it: what was to stay inside would go out.
    """
    alike = (
        region
        for region in row.regions
        if region.name != first.name and region.name not in row.key_prefixes.values()
    )
    other = next(alike, None)
    if other is None or first.name in row.key_prefixes.values():
        return None
    own = {bool(environment.get(region.env)) for region in (first, other)}
    return other if len(own) == 1 else None
