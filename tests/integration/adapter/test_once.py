"""Nothing tries again: no broken connection, redirect or repeated command is a second request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from contracts.failures import Conflict, FailureClass, Invalid, Unavailable
from services.provider_adapter.running import Rules
from tests.adapters import House, house, probe
from tests.brokers import Broker


@asynccontextmanager
async def server_that(
    answers: Callable[[int, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Reads one request after the other on each connection; tells what it saw."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                seen.append(head)
                await answers(len(seen), writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1", seen
    finally:
        server.close()


async def _hang_up(_: int, writer: asyncio.StreamWriter) -> None:
    writer.close()


ANSWER = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


async def _answer_once_then_hang_up(number: int, writer: asyncio.StreamWriter) -> None:
    """A kept connection that dies just when the next request comes."""
    if number == 1:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
        await writer.drain()
    else:
        writer.close()


async def test_a_request_into_a_dying_connection_is_not_sent_again(here: House) -> None:
    async with server_that(_answer_once_then_hang_up) as (endpoint, seen):
        await here.answer_of(await here.ask(endpoint=endpoint))
        error = await here.error_of(await here.ask(endpoint=endpoint))
        assert (error.class_, error.sent) == (FailureClass.AMBIGUOUS, True)
        assert len(seen) == 2


async def test_a_look_into_a_dying_connection_is_not_repeated(here: House) -> None:
    async with server_that(_hang_up) as (endpoint, seen):
        result = await probe(here, endpoint=endpoint)
        assert (result.failure, result.sent) == (FailureClass.TRANSIENT, True)
        assert len(seen) == 1


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(here: House) -> None:
    async def redirect(_: int, writer: asyncio.StreamWriter) -> None:
        target = here.provider.base_url.encode()
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")

    async with server_that(redirect) as (endpoint, seen):
        error = await here.error_of(await here.ask(endpoint=endpoint))
        assert error.class_ is FailureClass.UNKNOWN
        assert error.evidence.status == 307
        assert (await probe(here, endpoint=endpoint)).failure is FailureClass.UNKNOWN
        assert len(seen) == 2
    assert here.asked == 0


async def test_an_attempt_is_taken_once(here: House) -> None:
    request = await here.ask()
    with pytest.raises(Conflict):
        await here.send(request)
    await here.answer_of(request)
    with pytest.raises(Conflict):
        await here.send(request)
    assert here.asked == 1


async def test_a_request_that_cannot_be_carried_out_is_refused(here: House) -> None:
    for wrong in (
        {"provider": "nobody"},
        {"endpoint": "file:///etc/passwd"},
        {"endpoint": "https://me:you@there/v1"},
        {"workspace": "a.b"},
    ):
        with pytest.raises(Invalid):
            await here.ask(**wrong)


async def test_too_many_at_once_are_refused(broker: Broker) -> None:
    async with house(broker, Rules(at_once=2)) as here:
        running = [await here.ask("[[silent]]") for _ in range(2)]
        with pytest.raises(Unavailable):
            await here.ask()
        for request in running:
            here.running.cancel(request.attempt)
            await here.end_of(request)
        await here.answer_of(await here.ask())
