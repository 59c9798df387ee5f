"""Whatever is sent is refused with what to do about it, never with a 5xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.systems import Client, RunningSystem

ASKED: dict[str, Any] = {"topic": "Hello", "participants": [{"persona": "riley-engstrom"}]}
CHAT: dict[str, Any] = {
    "model": "kimi/kimi-k2.6",
    "messages": [{"role": "user", "content": "Hello"}],
}
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What came back over a plain socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"].startswith("application/problem+json"), self
        said = json.loads(self.body)
        assert said["status"] == self.status
        assert said["type"].startswith("urn:parley:problem:")
        assert said["title"]
        return said


async def raw(system: RunningSystem, request: bytes, *, within: float = 15) -> Answer | None:
    """Send bytes, read one answer; None if the connection was closed without one."""
    address = urlsplit(system.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        async with asyncio.timeout(within):
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            pairs = (line.partition(": ") for line in lines if line)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    finally:
        await leave(writer)


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def post(
    system: RunningSystem, body: bytes, *headers: str, path: str = "/api/v1/discussions"
) -> bytes:
    """A POST, to be broken."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {system.token}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def refused(system: RunningSystem, request: bytes, *statuses: int) -> dict[str, Any]:
    """The problem that `request` is answered with."""
    answer = await raw(system, request)
    assert answer is not None
    said = answer.problem()
    assert answer.status in statuses or (not statuses and 400 <= answer.status < 500), answer
    return said


# --- What the issue names ---------------------------------------------------------------------


async def test_a_wrong_token(client: Client) -> None:
    for token in ("Bearer wrong", "Basic b3duZXI6", "Bearer", "bearer  ", f"Bearer {'x' * 4000}"):
        status, said = await client.ask("GET", "/api/v1/personas", Authorization=token)
        assert (status, said["type"]) == (401, "urn:parley:problem:unauthenticated")
        assert said["next_step"]
    async with client.http.get(f"{client.system.url}/api/v1/personas") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_unknown_persona(client: Client) -> None:
    body = {**ASKED, "participants": [{"persona": "riley-engstrum"}]}
    status, said = await client.ask("POST", "/api/v1/discussions", body)

    assert (status, said["type"]) == (422, "urn:parley:problem:unknown-persona")
    assert "riley-engstrom" in said["nearest"]


@pytest.mark.parametrize(
    ("model", "slug"),
    [
        ("kimi/kimi-k2.66", "unknown-model"),
        ("kimi/../x", "unknown-model"),
        ("nobody/x", "unknown-provider"),
        ("kimi", "unknown-model"),
        ("kimi/kimi-k2.5", "retired-model"),
    ],
)
async def test_an_unknown_model(client: Client, model: str, slug: str) -> None:
    body = {**ASKED, "participants": [{"persona": "riley-engstrom", "model": model}]}
    status, said = await client.ask("POST", "/api/v1/discussions", body)

    assert (status, said["type"]) == (422, f"urn:parley:problem:{slug}")
    assert said["next_step"]
    assert said.get("nearest") or said.get("successor")


async def test_malformed_json(running_system: RunningSystem) -> None:
    for body in (
        b"", b"{", b"null", b"[]", b'"x"', b"1", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
        b"[" * 100_000, b'{"topic":"\xff"}', b'{"topic":"\\ud800"}', b'{"topic":"a","topic":"b"}',
        b'{"topic": 1e999999}', b'{"n": ' + b"9" * 10_000 + b"}", b'{"topic": NaN}',
    ):  # fmt: skip
        length = f"Content-Length: {len(body)}"
        request = post(running_system, body, f"Content-Type: {JSON}", length)
        said = await refused(running_system, request, 400, 422)
        assert said["detail"]


async def test_a_body_of_ten_megabytes(running_system: RunningSystem) -> None:
    body = json.dumps({**ASKED, "topic": "x" * (10 << 20)}).encode()
    length = f"Content-Length: {len(body)}"
    request = post(running_system, body, f"Content-Type: {JSON}", length)
    said = await refused(running_system, request, 413)
    assert said["type"] == "urn:parley:problem:too-large"


async def test_a_body_that_does_not_say_how_large_it_is(running_system: RunningSystem) -> None:
    endless = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    chunked = f"Content-Type: {JSON}", "Transfer-Encoding: chunked"
    said = await refused(running_system, post(running_system, endless * 160, *chunked), 413)
    assert said["type"] == "urn:parley:problem:too-large"


async def test_a_missing_route_and_a_wrong_method(client: Client) -> None:
    status, said = await client.ask("POST", "/api/v1/discusions", {})
    assert (status, said["type"]) == (404, "urn:parley:problem:not-found")
    assert "POST /api/v1/discussions" in said["nearest"]
    async with client.http.delete(f"{client.system.url}/api/v1/personas") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


# --- Values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "id",
    [
        ".", "*", "%3E", "a.b", "a%20b", "a%0D%0APUB%20x%201%0D%0Ay", "%00", "x" * 2000,
        "01A203F1-EB78-75E5-BB52-64785C4B910D", "01a203f1-eb78-75e5-bb52-64785c4b910d",
    ],
)  # fmt: skip
async def test_an_id_that_is_none_of_ours(running_system: RunningSystem, id: str) -> None:
    for path in ("", "/events"):
        request = (
            f"GET /api/v1/discussions/{id}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {running_system.token}\r\n\r\n"
        )
        await refused(running_system, request.encode(), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/%2e%2e/etc/passwd", "/pages/../auth.py", "/pages/..%2fauth.py", "/pages/%c0%af",
        "/pages/%00", "//", "/api/v1/discussions.", "/api/v1/personas/..", "/index.php",
    ],
)  # fmt: skip
async def test_a_path_that_would_lead_elsewhere(running_system: RunningSystem, path: str) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {running_system.token}\r\n\r\n"
    )
    await refused(running_system, request.encode(), 400, 404)


async def test_a_key_in_the_address_is_refused(client: Client) -> None:
    for name in ("token", "api_key", "access_token"):
        status, said = await client.ask("GET", f"/api/v1/personas?{name}=sk-123")
        assert (status, said["type"]) == (400, "urn:parley:problem:secret-in-address")
        assert "sk-123" not in json.dumps(said)


@pytest.mark.parametrize("key", ["", "x" * 10_000, "a b", "\u00e9"])
async def test_an_idempotency_key_that_is_none(client: Client, key: str) -> None:
    status, _ = await client.ask("POST", "/api/v1/discussions", ASKED, **{"Idempotency-Key": key})
    assert status in {400, 431}


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": []},
        {"messages": "x"},
        {"max_tokens": -1},
        {"temperature": "hot"},
        {"model": "x" * 10_000},
        {"model": "a\nb"},
        {"n": 5},
    ],
)
async def test_a_bad_chat_is_refused_in_openais_shape(client: Client, wrong: Any) -> None:
    status, said = await client.ask("POST", "/v1/chat/completions", CHAT | wrong)

    assert status == 400
    assert set(said["error"]) == {"message", "type", "param", "code"}
    assert said["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "secret", ["", "  ", "Bearer sk-1", "sk-\u00e9", "a\r\nX: y", "x" * 100_000]
)
async def test_a_secret_that_is_none(client: Client, secret: str) -> None:
    status, said = await client.ask("POST", "/api/v1/keys", {"provider": "kimi", "secret": secret})

    assert status == 422
    assert len(secret.strip()) < 3 or secret not in json.dumps(said)


async def test_a_provider_or_region_nobody_knows(client: Client) -> None:
    for body in (
        {"provider": "kimmi", "secret": "sk-0123456789abcdef"},
        {"provider": "kimi", "region": "mars", "secret": "sk-0123456789abcdef"},
    ):
        status, said = await client.ask("POST", "/api/v1/keys", body)
        assert (status, bool(said["detail"])) == (422, True)


@pytest.mark.parametrize(
    "query", ["state=asleep", "limit=0", "limit=x", "cursor=a.b", "limit=1&limit=2"]
)
async def test_a_list_that_cannot_be_had(client: Client, query: str) -> None:
    status, _ = await client.ask("GET", f"/api/v1/discussions?{query}")
    assert status in {400, 422}


# --- Framing ----------------------------------------------------------------------------------

BODY = json.dumps(ASKED).encode()
LENGTH = f"Content-Length: {len(BODY)}"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([LENGTH, "Content-Length: 3"], BODY),
        ([LENGTH, "Transfer-Encoding: chunked"], BODY),
        (["Transfer-Encoding : chunked"], b"0\r\n\r\n"),
        (["Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"0x10\r\n"),
        (["Transfer-Encoding: chunked"], b"-1\r\n"),
        (["Transfer-Encoding: chunked"], b"1" * 17 + b"\r\n"),
        (["Transfer-Encoding: chunked"], b"2\r\nabXX0\r\n\r\n"),
        (["Content-Length: -1"], b""),
        (["Content-Length: +5"], b"12345"),
        (["X-Long: " + "x" * 65_536], b""),
        (["X-Folded: a\r\n b"], b""),
        (["X-Nul: a\0b"], b""),
        (["X-Del: a\x7f\rb"], b""),
        (["Host: 127.0.0.2"], b""),
        ([f"X-{at}: y" for at in range(1000)], b""),
        (["Content-Encoding: gzip", LENGTH], BODY),
        (["Content-Encoding: br", LENGTH], BODY),
        (["Authorization: Bearer other", LENGTH], BODY),
    ],
)
async def test_bad_framing(running_system: RunningSystem, headers: list[str], body: bytes) -> None:
    await refused(running_system, post(running_system, body, f"Content-Type: {JSON}", *headers))


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/json; charset=utf-16", "nonsense"],
)  # fmt: skip
async def test_a_body_of_another_type(running_system: RunningSystem, kind: str) -> None:
    request = post(running_system, BODY, f"Content-Type: {kind}", LENGTH)
    await refused(running_system, request, 415)
    await refused(running_system, post(running_system, BODY, LENGTH), 415)


@pytest.mark.parametrize(
    "line",
    [
        "GET /healthz HTTP/9.9",
        "GET /healthz",
        "PRI * HTTP/2.0",
        "FOO /api/v1/personas HTTP/1.1",
        "TRACE /api/v1/personas HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
        "GET http://evil.example/healthz HTTP/1.1",
        "GET /" + "x" * 100_000 + " HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_a_request_line_that_is_none(running_system: RunningSystem, line: str) -> None:
    request = f"{line}\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1")
    answer = await raw(running_system, request)
    assert answer is None or 400 <= answer.status < 500, answer


async def test_an_upgrade_is_not_made(running_system: RunningSystem) -> None:
    for upgrade in ("websocket", "h2c"):
        request = (
            "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        )
        answer = await raw(running_system, request.encode())
        assert answer is not None
        assert answer.status == 200


async def test_a_body_is_asked_for_before_it_is_sent(running_system: RunningSystem) -> None:
    address = urlsplit(running_system.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(
            post(running_system, b"", f"Content-Type: {JSON}", LENGTH, "Expect: 100-continue")
        )
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            writer.write(BODY)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
    finally:
        await leave(writer)


async def test_requests_in_a_row_are_answered_in_a_row(running_system: RunningSystem) -> None:
    """A wrong one in the middle does not bring the others out of step."""
    address = urlsplit(running_system.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    good = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    wrong = post(running_system, b"{}", f"Content-Type: {JSON}", "Content-Length: 2")
    try:
        writer.write(good + wrong + good)
        statuses: list[int] = []
        async with asyncio.timeout(10):
            for _ in range(3):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                statuses.append(int(head.split()[1]))
                length = head.partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length))
    finally:
        await leave(writer)
    assert statuses == [200, 422, 200]


async def test_who_is_too_slow_is_told_so(running_system: RunningSystem) -> None:
    """Ten seconds for an idle head, and for an idle body."""
    slow_head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
    slow_body = post(running_system, b'{"topic": ', f"Content-Type: {JSON}", "Content-Length: 500")

    for answer in await asyncio.gather(
        raw(running_system, slow_head, within=20), raw(running_system, slow_body, within=20)
    ):
        assert answer is not None
        assert answer.status == 408
        assert answer.headers["connection"] == "close"
        assert answer.problem()["type"] == "urn:parley:problem:request-timeout"
