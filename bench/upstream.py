"""A provider that streams at a steady pace, each delta carrying the time at which it was written.

`python -m bench.upstream` prints its base URL. The prompt says how: "rate=50 deltas=500", rate 0
for as fast as the socket takes it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

MODEL = "kimi-k2.6"
_MODELS = b'{"object":"list","data":[{"id":"kimi-k2.6","object":"model","context_length":262144}]}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_DELTA = (
    '{{"id":"c","object":"chat.completion.chunk","created":1,"model":"kimi-k2.6",'
    '"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}'
)
_END = (
    '{"id":"c","object":"chat.completion.chunk","created":1,"model":"kimi-k2.6",'
    '"choices":[{"index":0,"delta":{},"finish_reason":"stop",'
    '"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}]}'
)
_AT_ONCE = 64
"""Deltas of one write when there is no pace to keep."""


def _frame(document: str) -> bytes:
    data = f"data: {document}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


def _delta() -> bytes:
    return _frame(_DELTA.format(text=f"{time.monotonic_ns():020d} "))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if head.startswith(b"GET"):
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(_MODELS), _MODELS)
                )
            else:
                await _stream(writer, body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _stream(writer: asyncio.StreamWriter, body: bytes) -> None:
    told = re.findall(rb"rate=(\d+) deltas=(\d+)", body)
    rate, deltas = map(int, told[-1]) if told else (0, 10)
    writer.write(_HEAD)
    clock = asyncio.get_running_loop().time
    due = clock()
    for number in range(deltas):
        writer.write(_delta())
        if rate:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - clock()))
        elif number % _AT_ONCE == 0:
            await writer.drain()
    writer.write(_frame(_END) + _frame("[DONE]") + b"0\r\n\r\n")


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    sys.stdout.write(f"http://{host}:{port}/v1\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
