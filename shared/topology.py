"""The broker as contracts/subjects.py declares it: its configuration, its streams, its consumers.

`broker_config` is written before the broker starts; `ensure` is called when it has started, and
again after each restart, since a stream in memory goes with its broker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any, Final

import structlog

from contracts.failures import Unreachable
from contracts.subjects import (
    ADMIN,
    ADMIN_PERMISSIONS,
    INTEGRATION,
    INTEGRATION_PERMISSIONS,
    SERVICES,
    STREAMS,
    Consumer,
    Permissions,
    Stream,
    permissions,
)
from shared.connection import Connection

log = structlog.stdlib.get_logger("topology")

CREDENTIALS: Final = (*SERVICES, ADMIN, INTEGRATION)
"""Whoever may connect; each has an nkey of its own."""

_ANSWERS_WITHIN: Final = 5.0
_ASK_AGAIN: Final = 0.1
_REMADE_WITHIN: Final = 30.0

_NOT_FOUND: Final = 404


class CannotEnsure(Exception):
    """The broker refused a stream or consumer, or is not allowed to us; the text says which."""


# --- The configuration of the server --------------------------------------------------------


def broker_config(
    public_keys: Mapping[str, str],
    *,
    listen: str,
    store: PurePath | str,
    monitor: str = "",
    max_payload: str = "8MB",
) -> str:
    """Text of a nats-server configuration file.

    `public_keys`: the public nkey of each of CREDENTIALS. `listen`: `host:port`. `store`: folder
    for the streams. `monitor`: `host:port` of the HTTP monitoring, e.g. for a health check; empty
    for none.
    """
    missing = sorted(set(CREDENTIALS) - set(public_keys))
    if missing:
        raise ValueError(f"no public key for {', '.join(missing)}")
    users = [
        {"nkey": public_keys[name], "permissions": _grant(permissions_of(name))}
        for name in CREDENTIALS
    ]
    # The server's own format takes JSON values; the rest is laid out to be read.
    lines = [
        "# Made from contracts/subjects.py; changes here are lost.",
        "server_name: parley",
        f"listen: {json.dumps(listen)}",
        *([f"http: {json.dumps(monitor)}"] if monitor else []),
        f"max_payload: {max_payload}",
        "jetstream {",
        f"  store_dir: {json.dumps(str(store))}",
        "  # An acknowledged message survives a power cut; the default waits two minutes.",
        "  sync_interval: always",
        "  # Explicit, since the defaults are shares of this machine's disk and memory, which on a",
        "  # small one are less than what the streams may grow to.",
        f"  max_file_store: {_reserve('file')}",
        f"  max_memory_store: {_reserve('memory')}",
        "}",
        "authorization {",
        "  timeout: 5",
        "  users: [",
        *(f"    {json.dumps(user)}" for user in users),
        "  ]",
        "}",
    ]
    return "\n".join(lines) + "\n"


def permissions_of(credential: str) -> Permissions:
    """What a service, the administrator or an integration may say and hear."""
    if credential == ADMIN:
        return ADMIN_PERMISSIONS
    if credential == INTEGRATION:
        return INTEGRATION_PERMISSIONS
    return permissions(credential)


def _grant(allowed: Permissions) -> dict[str, Any]:
    grant: dict[str, Any] = {
        # An empty allow list would allow everything; denying everything is how to say nothing.
        "publish": {"allow": sorted(allowed.publish)} if allowed.publish else {"deny": [">"]},
        "subscribe": {"allow": sorted(allowed.subscribe)},
    }
    if allowed.responds:
        grant["allow_responses"] = {"max": 1, "expires": "5m"}
    return grant


def _reserve(storage: str) -> int:
    """A limit, not an amount taken: what the streams may grow to, and some air.

    Memory counts twice: where a keeper asks for a stream that is there already, the server adds
    it to the reservations once more before it sees that it is the same.
    """
    streams = sum(stream.max_bytes for stream in STREAMS if stream.storage == storage)
    return streams * (2 if storage == "memory" else 1) + (64 << 20)


# --- Streams and consumers ------------------------------------------------------------------


async def ensure(
    url: str,
    seed_file: Path | None,
    *,
    streams: Sequence[Stream] = STREAMS,
    within: timedelta = timedelta(seconds=30),
) -> None:
    """Make the streams and consumers that are missing, change those that differ.

    `seed_file` is the administrator's. Nothing is ever deleted. JetStream may need a moment after
    the server greets; it is waited for.
    """
    connection = Connection(ADMIN)
    deadline = asyncio.get_running_loop().time() + within.total_seconds()
    try:
        await connection.open(url, seed_file, within)
        for stream in streams:
            await _ensure_stream(connection, stream, deadline)
            for consumer in stream.consumers:
                await _ensure_consumer(connection, stream, consumer, deadline)
    finally:
        await connection.close()


async def remake(connection: Connection, stream: Stream) -> None:
    """Make one stream if it is gone; where that cannot be, the log says so and life goes on."""
    deadline = asyncio.get_running_loop().time() + _REMADE_WITHIN
    try:
        await ask(connection, f"STREAM.CREATE.{stream.name}", stream_config(stream), deadline)
    except (CannotEnsure, Unreachable) as error:
        log.warning("could not make a stream again", stream=stream.name, reason=str(error))


async def _ensure_stream(connection: Connection, stream: Stream, deadline: float) -> None:
    wanted = stream_config(stream)
    found = await ask(connection, f"STREAM.INFO.{stream.name}", None, deadline)
    if found is None:
        await ask(connection, f"STREAM.CREATE.{stream.name}", wanted, deadline)
        log.info("made a stream", stream=stream.name)
        return
    present: Mapping[str, Any] = found["config"]
    for fixed in ("storage", "retention"):
        if present.get(fixed) != wanted[fixed]:
            raise CannotEnsure(
                f"The stream {stream.name} has {fixed} {present.get(fixed)!r} where "
                f"{wanted[fixed]!r} is declared, which cannot be changed. Stop the services and "
                f"delete it (`nats stream rm {stream.name}`); it is made again at the next start."
            )
    if _differs(wanted, present):
        # What the declaration doesn't speak of (replicas, placement) is the operator's.
        await ask(connection, f"STREAM.UPDATE.{stream.name}", {**present, **wanted}, deadline)
        log.info("changed a stream", stream=stream.name)


async def _ensure_consumer(
    connection: Connection, stream: Stream, consumer: Consumer, deadline: float
) -> None:
    wanted = consumer_config(consumer)
    path = f"{stream.name}.{consumer.name}"
    found = await ask(connection, f"CONSUMER.INFO.{path}", None, deadline)
    present: Mapping[str, Any] = {} if found is None else found["config"]
    if found is not None and not _differs(wanted, present):
        return
    await ask(
        connection,
        f"CONSUMER.DURABLE.CREATE.{path}",
        {"stream_name": stream.name, "config": {**present, **wanted}},
        deadline,
    )
    log.info("made a consumer" if found is None else "changed a consumer", consumer=path)


def stream_config(stream: Stream) -> dict[str, Any]:
    """As JetStream's API takes it."""
    return {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "storage": stream.storage,
        "retention": "workqueue" if stream.retention == "work_queue" else stream.retention,
        "discard": "old",
        "max_age": _nanoseconds(stream.max_age),
        "max_bytes": stream.max_bytes,
        "max_consumers": stream.max_consumers,
        "duplicate_window": _nanoseconds(stream.duplicate_window),
        "allow_direct": stream.allow_direct,
    }


def consumer_config(consumer: Consumer) -> dict[str, Any]:
    """As JetStream's API takes it."""
    return {
        "durable_name": consumer.name,
        "name": consumer.name,
        "filter_subject": consumer.filter,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_wait": _nanoseconds(consumer.ack_wait),
        "max_ack_pending": consumer.max_ack_pending,
        # Without end: past its own limit the server would leave a message lying in silence;
        # the reader counts instead and puts it in quarantine.
        "max_deliver": -1,
    }


def _differs(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    return any(present.get(key, False) != value for key, value in wanted.items())


async def ask(
    connection: Connection, path: str, body: Mapping[str, Any] | None, deadline: float
) -> dict[str, Any] | None:
    """The answer of JetStream's API; None for "not found". Asked again while it wakes up."""
    loop = asyncio.get_running_loop()
    subject = f"$JS.API.{path}"
    payload = b"" if body is None else json.dumps(body).encode()
    while True:
        if not await connection.until_connected(deadline):
            raise Unreachable("The broker went away while its streams were being made.")
        reply, expected = connection.expect(subject)
        try:
            connection.client.put(subject, payload, reply)
            async with asyncio.timeout_at(min(deadline, loop.time() + _ANSWERS_WITHIN)):
                message = await expected
        except TimeoutError:
            message = None
        finally:
            connection.give_up(reply)
        if message is not None and message.status == 0:
            return _read(path, message.data)
        if loop.time() >= deadline:
            raise Unreachable(
                "JetStream does not answer. Is it enabled (`nats-server -js`), "
                "and is this the administrator's key?"
            )
        await asyncio.sleep(_ASK_AGAIN)


def _read(path: str, data: bytes) -> dict[str, Any] | None:
    answer: dict[str, Any] = json.loads(data)
    error = answer.get("error")
    if error is None:
        return answer
    if error.get("code") == _NOT_FOUND and ".INFO." in f".{path}":
        return None
    raise CannotEnsure(f"{path}: {error.get('description', error)}")


def _nanoseconds(duration: timedelta) -> int:
    return int(duration / timedelta(microseconds=1)) * 1000
