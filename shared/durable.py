"""Publishing what must not be lost: each message has its acknowledgement and its own deadline.

A message that was not acknowledged may still have been stored. Publish it again under the same
id: within the stream's duplicate window the broker keeps it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from shared.connection import Connection, NotPermitted
from shared.message import checked_subject, write_headers

MESSAGE_ID: Final = "Nats-Msg-Id"


class NotStored(Exception):
    """No acknowledgement: unknown whether it is stored. Publish it again with the same id."""


class NeverStored(NotStored):
    """The broker will not take this message, however often: it is too large, or not allowed."""


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Refusal | None = None


_ACK: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Ack)


async def publish_durable(
    connection: Connection,
    subject: str,
    payload: bytes,
    *,
    id: str,
    headers: Mapping[str, str],
    within: timedelta,
) -> int:
    """Sequence under which the stream has it; NotStored if that was not learnt in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within.total_seconds()
    client = connection.client
    block = write_headers({**headers, MESSAGE_ID: id})
    if len(block) + len(payload) > client.max_payload:
        raise NeverStored(f"{len(payload)} bytes on {subject}: the broker takes no such message.")
    checked_subject(subject)
    reply = ""
    try:
        async with asyncio.timeout_at(deadline):
            # One after the other, so that waiting for room changes nobody's place in the order.
            async with connection.turn:
                if not await connection.until_connected(deadline):
                    raise NotStored(f"The broker was away; {subject} was not sent.")
                if client.crowded:
                    await client.room()
                reply, answer = connection.expect(subject, durable=True)
                client.put(subject, payload, reply, block)
            message = await answer
    except NotPermitted as error:
        raise NeverStored(str(error)) from error
    except ConnectionError as error:
        raise NotStored(f"{error}; unknown whether {subject} is stored.") from error
    except TimeoutError as error:
        raise NotStored(f"No acknowledgement of {subject} within {within}.") from error
    finally:
        connection.give_up(reply)
    if message.status:
        raise NotStored(f"No stream takes {subject} just now ({message.status}).")
    try:
        ack: _Ack = _ACK.decode(message.data)
    except msgspec.DecodeError as error:
        raise NotStored(f"The acknowledgement of {subject} is not readable.") from error
    if ack.error is not None:
        raise NotStored(f"{ack.error.description} ({ack.error.err_code}) on {subject}.")
    return ack.seq
