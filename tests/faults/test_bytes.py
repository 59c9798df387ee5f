"""What may come over the wire instead of an answer: a true adapter against a raw socket."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureClass
from contracts.stream import ProviderError, UsageStatus
from services.discussion import admission
from services.discussion.admission import Account, Admitted, Ask
from services.provider_adapter.patience import Patience
from services.provider_adapter.running import Rules
from tests.adapters import House, house
from tests.brokers import Broker

Serve = Callable[[asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
MEGABYTE = 1 << 20


@pytest_asyncio.fixture
async def here(broker: Broker) -> AsyncGenerator[House]:
    """An adapter that connects within a moment and is otherwise as patient as always."""
    quick = Patience(silence=timedelta(seconds=3))
    async with house(broker, Rules(ordinary=quick, thinking=quick)) as made:
        yield made
        ends = [outcome.attempt for outcome in made.outcomes if isinstance(outcome, ProviderError)]
        assert len(ends) == len(set(ends)), "an attempt has two ends"


@asynccontextmanager
async def raw(
    serve: Serve, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """A server that answers each request so: its address, and what it has heard."""
    heard: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            await serve(writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://127.0.0.1:{port}/v1", heard
    finally:
        server.close()


def saying(*parts: bytes) -> Serve:
    async def serve(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


async def error_from(here: House, serve: Serve) -> ProviderError:
    async with raw(serve) as (endpoint, heard):
        error = await here.error_of(await here.ask(endpoint=endpoint))
        assert len(heard) == 1, "one attempt is one request, whatever comes"
        return error


# --- Before the first byte ------------------------------------------------------------------


async def test_an_address_that_takes_no_connection_is_given_up_in_seconds(here: House) -> None:
    """Packets go in and nothing comes back, as behind many a firewall."""
    with socket.socket() as deaf, socket.socket() as one, socket.socket() as two:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (one, two):
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(deaf.getsockname())
        loop = asyncio.get_running_loop()
        began = loop.time()

        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        error = await here.error_of(await here.ask(endpoint=endpoint))

    assert (error.class_, error.sent) == (FailureClass.TRANSIENT, False)
    assert loop.time() - began >= 4, "it was waited for"


@dataclass(frozen=True)
class Authority:
    """Who issues certificates, for a test's own time."""

    key: ec.EllipticCurvePrivateKey
    issued: x509.Certificate

    @classmethod
    def new(cls) -> Authority:
        key, name = ec.generate_private_key(ec.SECP256R1()), _named("An authority")
        made = (
            _certificate(name, name, key, days=30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        return cls(key, made)

    def trusted(self) -> ssl.SSLContext:
        """As every client is by default, but that this authority is trusted."""
        pem = self.issued.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def serves(self, folder: Path, *, address: str, days: int) -> ssl.SSLContext:
        """For a server at this address, for so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            _certificate(_named(address), self.issued.subject, key, days=days)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One whom the adapter's client trusts, so that nothing but the fault in question is amiss."""
    made = Authority.new()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", made.trusted())
    return made


@pytest.mark.parametrize(
    ("address", "days", "why"),
    [("127.0.0.1", -1, "has expired"), ("10.9.8.7", 30, "not valid for")],
    ids=["over", "of another"],
)
async def test_a_certificate_that_does_not_hold_gets_no_key(
    here: House, authority: Authority, tmp_path: Path, address: str, days: int, why: str
) -> None:
    tls = authority.serves(tmp_path, address=address, days=days)
    async with raw(saying(HEAD), tls=tls) as (endpoint, heard):
        error = await here.error_of(await here.ask(endpoint=endpoint))

    assert (error.class_, error.sent) == (FailureClass.TRANSIENT, False)
    assert "certificate" in error.evidence.message.lower()
    assert why in error.evidence.message
    assert heard == []


async def test_a_certificate_of_nobody_known_gets_no_key(here: House, tmp_path: Path) -> None:
    tls = Authority.new().serves(tmp_path, address="127.0.0.1", days=30)
    async with raw(saying(HEAD), tls=tls) as (endpoint, heard):
        error = await here.error_of(await here.ask(endpoint=endpoint))

    assert (error.class_, error.sent) == (FailureClass.TRANSIENT, False)
    assert "certificate" in error.evidence.message.lower()
    assert heard == []


async def test_a_certificate_that_holds_is_taken(
    here: House, authority: Authority, tmp_path: Path
) -> None:
    """Or the others would be refused for a reason of their own."""
    tls = authority.serves(tmp_path, address="127.0.0.1", days=30)
    body = FINISH + b"data: [DONE]\n\n"
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    async with raw(saying(head, body), tls=tls) as (endpoint, _):
        answer = await here.answer_of(await here.ask(endpoint=endpoint))
    assert answer.text == "Hi"


# --- Too much -------------------------------------------------------------------------------


@contextmanager
def measured() -> Generator[Callable[[], int]]:
    """The most bytes that were held at a time. The process's own peak would not do: what it has
    once had for another test hides what this one takes.
    """
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_line_without_end_is_cut_off_and_memory_stays_small(here: House) -> None:
    async def for_ever(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\ndata: ")
        for _ in range(64):
            writer.write(b"x" * MEGABYTE)
            await writer.drain()

    with measured() as most:
        error = await error_from(here, for_ever)
        assert most() < 16 * MEGABYTE

    assert error.class_ in {FailureClass.UNKNOWN, FailureClass.REQUEST}


async def test_a_compressed_answer_that_nobody_asked_for_is_not_unpacked(here: House) -> None:
    bomb = gzip.compress(b"\0" * (64 * MEGABYTE))
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)

    with measured() as most:
        error = await error_from(here, saying(head, bomb))
        assert most() < 16 * MEGABYTE

    assert error.class_ is FailureClass.UNKNOWN
    assert "compressed" in error.evidence.message


async def test_an_answer_that_only_says_it_is_compressed(here: House) -> None:
    error = await error_from(
        here, saying(HEAD + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\n", b"nope")
    )
    assert error.class_ is FailureClass.UNKNOWN


# --- Something else -------------------------------------------------------------------------


PAGE = b"<!doctype html><title>Sign in</title><script>alert(1)</script>"


async def test_a_page_with_a_200_is_no_answer_and_nobody_is_shown_it(here: House) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE)

    error = await error_from(here, saying(head, PAGE))

    assert error.class_ is FailureClass.UNKNOWN
    assert error.text == ""
    assert "<script>" not in error.evidence.message
    assert here.chunks == []


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: [1, 2]\n\n",
        b'data: "text"\n\n',
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [{"delta": "no object"}]}\n\n',
        b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        b"data: \xff\xfe\n\n",
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": -1}]}}]}\n\n',
    ],
)
async def test_frames_that_make_no_sense_are_a_failure_with_a_class(
    here: House, body: bytes
) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)

    error = await error_from(here, saying(head, body))

    assert error.class_ in {
        FailureClass.UNKNOWN,
        FailureClass.AMBIGUOUS,
        FailureClass.MIDSTREAM,
    }
    assert error.hint != "internal", error.evidence


FINISH = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"choices": []}\n\n',
        b'data: {"choices": null}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {}, "surprise": {"deep": [1]}}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": null}]}\n\n',
        b": comment\n\n",
        b"event: ping\n\n",
        b"\n\n\n",
    ],
)
async def test_frames_that_say_nothing_do_no_harm(here: House, frame: bytes) -> None:
    body = frame + FINISH + frame + b"data: [DONE]\n\n"
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    async with raw(saying(head, body)) as (endpoint, _):
        answer = await here.answer_of(await here.ask(endpoint=endpoint))
    assert (answer.text, answer.finish_reason) == ("Hi", "stop")


@pytest.mark.parametrize("ending", [b"", b"data: [DONE]\n\n"], ids=["end", "done"])
async def test_an_end_without_a_reason_is_no_end(here: House, ending: bytes) -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"So far"}}]}\n\n' + ending
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)

    error = await error_from(here, saying(head, body))

    assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "truncated")
    assert error.text == "So far"


@pytest.mark.parametrize(
    "usage",
    [
        b'{"prompt_tokens": -5, "completion_tokens": -1}',
        b'{"prompt_tokens": 1e99, "completion_tokens": 3}',
        b'{"prompt_tokens": "many"}',
        b"[]",
        b"null",
    ],
)
async def test_a_usage_that_cannot_be_is_not_believed(here: House, usage: bytes) -> None:
    body = FINISH + b'data: {"choices":[],"usage":' + usage + b"}\n\ndata: [DONE]\n\n"
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    async with raw(saying(head, body)) as (endpoint, _):
        answer = await here.answer_of(await here.ask(endpoint=endpoint))

    assert answer.text == "Hi"
    assert answer.usage.input_tokens >= 0
    assert answer.usage.output_tokens >= 0
    assert answer.usage.status in {UsageStatus.ESTIMATED, UsageStatus.MEASURED, UsageStatus.UNKNOWN}


@given(reserved=st.integers(1, 10_000), used=st.none() | st.integers(-(10**12), 10**12))
def test_what_was_used_is_never_credited_beyond_what_was_reserved(
    reserved: int, used: int | None
) -> None:
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    limits = admission.Limits(tpd=10**9)
    admitted = admission.admit(Account(), limits, Ask(attempt="a", tokens=reserved), now=noon)
    assert isinstance(admitted, Admitted)

    settled = admission.settle(admitted.account, "a", used)

    assert settled.spending.of_day == (reserved if used is None else max(used, 0))
    assert sum(bucket.tokens for bucket in settled.spending.minute) == reserved
