"""Secrets from the environment: keys, put into the vault at its first start, and the KEK.

The launcher takes them out of the environment and writes them to our standard input as one line of
JSON. Started without a launcher we do so ourselves and begin anew, since what a process was started
with stays readable in /proc. At later starts the keys are only compared, by fingerprint: a key that
has changed out there is announced. It is not taken over, since a key nobody remembers setting would
come back like a ghost.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta

import structlog
from msgspec import DecodeError, Struct, json
from msgspec.json import Decoder

from contracts.endpoints import directory, variable
from contracts.failures import Invalid
from contracts.providers import PROVIDERS
from services.key_vault.aggregate import Add, AlreadyHere
from services.key_vault.keks import CURRENT, FORMER, Given, given
from services.key_vault.sql import SQL
from services.key_vault.store import Store
from services.key_vault.submission import cleaned, endpoint_of, provider_named
from services.key_vault.tokens import DEFAULT_WORKSPACE
from shared.database import transaction
from shared.ids import fresh
from shared.redaction import REDACTOR

_MILESTONE = "keys of the environment"
_LIMIT = 1 << 20

log = structlog.stdlib.get_logger("handover")


class Handover(Struct, frozen=True):
    """What the launcher hands over."""

    keys: dict[str, str] = {}
    """By provider."""
    kek: str = ""
    kek_former: str = ""
    """PARLEY_KEK and PARLEY_KEK_FORMER."""


async def read_line() -> bytes:
    """The line on standard input; empty if there is none."""
    reader = asyncio.StreamReader(limit=_LIMIT)
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
        )
    except (OSError, ValueError):
        return sys.stdin.buffer.readline(_LIMIT)  # a file: it never makes us wait
    return await reader.readline()


def keks_of(line: bytes) -> Given:
    """The KEKs that were handed over; UnusableKek if they are none."""
    try:
        told = _decode(line or b"{}")
    except DecodeError:
        return Given()
    return given(told.kek, told.kek_former)


def begin_without_secrets(environment: Mapping[str, str]) -> None:
    """Start this process anew without the secrets in its environment, handed over to itself."""
    variables = {f"{name.upper()}_API_KEY": name for name in PROVIDERS}
    secrets = {*variables, CURRENT, FORMER} & {name for name in environment if environment[name]}
    if not secrets or environment.get("PARLEY_HANDOVER"):
        return
    line = Handover(
        keys={variables[name]: environment[name] for name in secrets & {*variables}},
        kek=environment.get(CURRENT, ""),
        kek_former=environment.get(FORMER, ""),
    )
    out, in_ = os.pipe()
    os.write(in_, json.encode(line) + b"\n")  # a pipe holds far more without a reader
    os.close(in_)
    os.dup2(out, 0)
    rest = {name: value for name, value in environment.items() if name not in secrets}
    os.execve(  # noqa: S606 - the same program again
        sys.executable, [sys.executable, *sys.orig_argv[1:]], {**rest, "PARLEY_HANDOVER": "stdin"}
    )


async def take_over(store: Store, line: bytes, environment: Mapping[str, str]) -> bool:
    """Add the keys at the first start, compare them at later ones; whether any was added."""
    try:
        keys = _decode(line or b"{}").keys
    except DecodeError:
        # Without the exception: it might quote.
        log.warning("what was handed over is not readable; no key was taken over")
        return False
    if await store.pool.fetchval(SQL["reached"], _MILESTONE):
        await _compare(store, keys)
        return False
    added = [
        provider for provider in keys if await _add(store, provider, keys[provider], environment)
    ]
    await store.pool.execute(SQL["reach"], _MILESTONE)
    return bool(added)


_decode = Decoder(Handover).decode


async def _add(store: Store, provider: str, pasted: str, environment: Mapping[str, str]) -> bool:
    """Keep the key; verifying it is left to whoever is there to ask, later."""
    with REDACTOR.knowing(pasted):
        name = variable(provider, "API_KEY")
        try:
            row = provider_named(provider, directory(environ=environment).rows)
            secret = cleaned(pasted.encode()).secret
        except Invalid as refusal:
            log.warning("a key of the environment was not taken", variable=name, why=str(refusal))
            return False
        region = row.region(None)
        command = Add(
            key=fresh(),
            region=region.name,
            endpoint=endpoint_of(region, environment),
            fingerprint=store.identity.fingerprint(secret),
            label=name,
            by="environment",
        )
        try:
            key = await store.add(DEFAULT_WORKSPACE, provider, command, secret)
        except AlreadyHere:
            return False
        async with transaction(store.pool) as conn:
            await conn.execute(SQL["keep_handover"], provider, command.fingerprint)
            await conn.execute(SQL["plan_check"], key, DEFAULT_WORKSPACE, timedelta(0))
        log.info("took a key over from the environment", variable=name, key=key)
        return True


async def _compare(store: Store, keys: Mapping[str, str]) -> None:
    rows = [
        *await store.pool.fetch(SQL["fingerprints"], DEFAULT_WORKSPACE),
        *await store.pool.fetch(SQL["list_handovers"]),
    ]
    known = {(row["provider"], row["fingerprint"]) for row in rows}
    for provider, pasted in keys.items():
        try:
            provider_named(provider, directory().rows)
            secret = cleaned(pasted.encode()).secret
        except Invalid:
            continue  # it would not have been taken either
        if (provider, store.identity.fingerprint(secret)) not in known:
            log.warning(
                "a key of the environment is not the one in the vault, and is not used",
                variable=variable(provider, "API_KEY"),
                next_step="Keys are taken from the environment at the first start only. "
                "To use it, add it on the keys page or with `parley keys add`.",
            )
