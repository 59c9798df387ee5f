"""The faulty line does what it is told: no test is better than its tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.faultproxy import FaultProxy, Toxics, in_a_thread

TEXT = bytes(range(256)) * 8


@asynccontextmanager
async def echo() -> AsyncGenerator[tuple[str, int]]:
    """A server that says whatever it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while heard := await reader.read(1 << 16):
                writer.write(heard)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


async def said_back(port: int, text: bytes = TEXT) -> list[bytes]:
    """What comes back, piece by piece, until all of it has or the line has ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        writer.write_eof()
        heard: list[bytes] = []
        while piece := await reader.read(1 << 16):
            heard.append(piece)
        return heard
    finally:
        writer.close()


async def test_a_healthy_line_carries_everything() -> None:
    async with echo() as target, FaultProxy(target) as line:
        assert b"".join(await said_back(line.port)) == TEXT
        assert line.connections == 1

        async def over() -> bool:
            return line.open_connections == 0

        await eventually(over)


async def test_slices_are_small_and_lose_nothing() -> None:
    async with echo() as target, FaultProxy(target, seed=3) as line:
        await line.become(Toxics(slice=7, latency=timedelta(milliseconds=1)))
        heard = await said_back(line.port, TEXT[:300])
    assert b"".join(heard) == TEXT[:300]
    assert len(heard) > 20


async def test_the_same_seed_makes_the_same_slices() -> None:
    toxics = Toxics(slice=50)
    line, again = (FaultProxy(("127.0.0.1", 1), seed=7) for _ in range(2))
    assert [line.size(toxics, 100) for _ in range(20)] == [
        again.size(toxics, 100) for _ in range(20)
    ]


async def test_latency_and_a_narrow_line_take_their_time() -> None:
    loop = asyncio.get_running_loop()
    async with echo() as target, FaultProxy(target) as line:
        await line.become(Toxics(bytes_per_second=2000, latency=timedelta(milliseconds=1)))
        began = loop.time()
        assert b"".join(await said_back(line.port, TEXT[:500])) == TEXT[:500]
        assert loop.time() - began >= 0.25


async def test_a_line_is_cut_after_so_many_bytes() -> None:
    async with echo() as target, FaultProxy(target) as line:
        await line.become(Toxics(cut_after=100))
        assert b"".join(await said_back(line.port)) == TEXT[:100]


async def test_a_line_is_torn_after_so_many_bytes() -> None:
    async with echo() as target, FaultProxy(target) as line:
        await line.become(Toxics(reset_after=0))
        with pytest.raises(ConnectionResetError):
            await said_back(line.port)


async def test_a_line_may_be_cut_once() -> None:
    async with echo() as target, FaultProxy(target) as line:
        await line.become(Toxics(cut_after=100, once=True))
        assert b"".join(await said_back(line.port)) == TEXT[:100]
        assert b"".join(await said_back(line.port)) == TEXT


async def test_a_line_that_is_down_refuses_and_comes_back_where_it_was() -> None:
    async with echo() as target, FaultProxy(target) as line:
        port = line.port
        async with line.being(Toxics(down=True)):
            with pytest.raises(ConnectionRefusedError):
                await said_back(port)
        assert b"".join(await said_back(port)) == TEXT


async def test_a_black_hole_takes_everything_and_gives_it_back_when_it_is_over() -> None:
    async with echo() as target, FaultProxy(target) as line:
        async with line.being(Toxics(black_hole=True)):
            asking = asyncio.create_task(said_back(line.port))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asking), 0.1)
        assert b"".join(await asking) == TEXT


async def test_connections_can_be_torn_at_once() -> None:
    async with echo() as target, FaultProxy(target) as line:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        writer.write(b"!")
        assert await reader.read(1) == b"!"
        await line.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        assert b"".join(await said_back(line.port)) == TEXT


async def test_it_stands_in_front_of_a_socket_in_a_folder_too(tmp_path: Path) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / ".s.PGSQL.5432")
    async with FaultProxy(tmp_path / ".s.PGSQL.5432") as line:
        reader, writer = await asyncio.open_unix_connection(line.folder / ".s.PGSQL.5432")
        assert await reader.read() == b"here"
        writer.close()
    server.close()


async def test_in_a_thread_of_its_own_it_obeys_any_loop() -> None:
    async with echo() as target:
        with in_a_thread(target) as line:
            async with line.being(Toxics(cut_after=5)):
                assert b"".join(await said_back(line.port)) == TEXT[:5]
            assert b"".join(await said_back(line.port)) == TEXT
