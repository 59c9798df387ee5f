"""Looking up what a stream still has, without a consumer: JetStream's direct get (ADR-31)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from contracts.failures import TimedOut, Unreachable
from shared.connection import Connection
from shared.message import Message, checked_pattern, checked_subject

BATCH: Final = 500
_NO_MESSAGE: Final = 404
_END_OF_BATCH: Final = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message as the stream keeps it."""

    subject: str
    data: bytes
    sequence: int
    stored_at: datetime


async def last_message(
    connection: Connection, stream: str, subject: str, within: timedelta
) -> StoredMessage | None:
    """The newest message of exactly `subject`."""
    checked_subject(subject)
    asked = f"$JS.API.DIRECT.GET.{stream}.{subject}"
    deadline = asyncio.get_running_loop().time() + within.total_seconds()
    if not await connection.until_connected(deadline):
        raise Unreachable(f"The broker is away; {subject} was not looked up.")
    reply, expected = connection.expect(asked)
    try:
        connection.client.put(asked, b"", reply)
        async with asyncio.timeout_at(deadline):
            answer = await expected
    except TimeoutError as error:
        raise TimedOut(f"No answer about {subject} within {within}.") from error
    finally:
        connection.give_up(reply)
    return None if answer.status == _NO_MESSAGE else _stored(answer, stream)


async def stored_messages(
    connection: Connection, stream: str, pattern: str, after: int, within: timedelta
) -> list[StoredMessage]:
    """All messages that match, after a sequence, in the stream's order."""
    checked_pattern(pattern)
    deadline = asyncio.get_running_loop().time() + within.total_seconds()
    found: list[StoredMessage] = []
    while True:
        page, pending = await _page(connection, stream, pattern, after, deadline)
        found.extend(page)
        if not page or pending == 0:
            return found
        after = page[-1].sequence


async def _page(
    connection: Connection, stream: str, pattern: str, after: int, deadline: float
) -> tuple[list[StoredMessage], int]:
    """One batch, and how many messages there are after it."""
    asked = f"$JS.API.DIRECT.GET.{stream}"
    query = msgspec.json.encode({"seq": after + 1, "batch": BATCH, "next_by_subj": pattern})
    page: list[StoredMessage] = []
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def heard(message: Message) -> None:
        if ended.done():
            return
        try:
            if message.status == _NO_MESSAGE:
                ended.set_result(0)
            elif message.status == _END_OF_BATCH:
                ended.set_result(int(message.headers.get("Nats-Num-Pending", "0")))
            else:
                page.append(_stored(message, stream))
        except (ValueError, KeyError, Unreachable) as error:
            ended.set_exception(error)

    if not await connection.until_connected(deadline):
        raise Unreachable(f"The broker is away; {pattern} was not looked up.")
    reply = connection.expect_many(heard)
    try:
        connection.client.put(asked, query, reply)
        async with asyncio.timeout_at(deadline):
            return page, await ended
    except TimeoutError as error:
        raise TimedOut(f"No answer about {pattern} in time.") from error
    finally:
        connection.give_up(reply)


def _stored(message: Message, stream: str) -> StoredMessage:
    if message.status:
        raise Unreachable(
            f"The stream {stream} cannot be read: {message.status} {message.status_text}"
        )
    headers = message.headers
    return StoredMessage(
        subject=headers["Nats-Subject"],
        data=message.data,
        sequence=int(headers["Nats-Sequence"]),
        stored_at=datetime.fromisoformat(headers["Nats-Time-Stamp"]).astimezone(UTC),
    )
