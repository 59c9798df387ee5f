"""An added endpoint is gone to only where every address of its name is public, key or no key."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver, ResolveResult

from contracts.attempts import ProbeResult
from contracts.endpoints import CustomProvider
from contracts.failures import FailureClass
from local.scripted.server import ScriptedProvider
from services.provider_adapter import ways
from services.provider_adapter.session import open_session
from services.provider_adapter.ways import CheckedResolver, NotPublic, Ways
from tests.adapters import House, house, probe
from tests.brokers import Broker

HOME = "https://llm.acme.example/v1"
ACME = CustomProvider(name="acme", base_url=HOME)


class Names(AbstractResolver):
    """What names stand for, as a test wants it; the next address for each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def names() -> Names:
    return Names(["127.0.0.1"])


@pytest_asyncio.fixture
async def here(broker: Broker, names: Names) -> AsyncGenerator[House]:
    async with house(broker, resolver=names) as made:
        yield made


async def look(here: House, endpoint: str = HOME) -> ProbeResult:
    return await probe(here, provider="acme", endpoint=endpoint, custom=ACME)


async def test_a_name_that_leads_home_is_refused_when_it_is_connected_to(
    here: House, names: Names
) -> None:
    error = await here.error_of(await here.ask(provider="acme", endpoint=HOME, custom=ACME))

    assert (error.class_, error.hint, error.sent) == (FailureClass.REQUEST, "address", False)
    assert "llm.acme.example leads to 127.0.0.1" in error.evidence.message
    assert "loopback" in error.evidence.message
    assert here.vault.secret not in error.evidence.message
    assert names.asked == ["llm.acme.example"]
    assert here.asked == 0


async def test_a_look_is_held_to_the_same(here: House) -> None:
    result = await look(here)

    assert (result.failure, result.hint, result.sent) == (FailureClass.REQUEST, "address", False)
    assert "leads to 127.0.0.1" in result.evidence.message
    assert here.asked == 0


@pytest.mark.parametrize(
    "address", ["http://llm.acme.example/v1", "https://127.0.0.1/v1", "https://[::1]/v1"]
)
async def test_an_address_that_could_not_be_added_is_not_gone_to_either(
    here: House, address: str
) -> None:
    asked = await here.ask(provider="acme", endpoint=address, custom=ACME)
    error = await here.error_of(asked)

    assert (error.class_, error.hint, error.sent) == (FailureClass.REQUEST, "address", False)
    assert (await look(here, address)).hint == "address"
    assert here.vault.leases == []  # the key was not even asked for


async def test_the_operators_endpoint_may_be_at_home(broker: Broker) -> None:
    async with ScriptedProvider(keys=[""]) as provider, house(broker) as here:
        lab = CustomProvider(name="lab", base_url=provider.base_url, needs_key=False)
        told = {"PARLEY_ENDPOINTS": "lab", "LAB_BASE_URL": provider.base_url}
        own = Ways.open(told)
        assert own.to(provider.base_url, lab) is own.straight
        await own.close()

        # Without the operator's word the same address is refused.
        error = await here.error_of(
            await here.ask(provider="lab", endpoint=provider.base_url, custom=lab, key=None)
        )
        assert (error.hint, error.sent) == ("address", False)
        assert provider.requests == []


async def test_one_private_address_among_public_ones_is_enough(names: Names) -> None:
    for answer in (["1.1.1.1", "10.0.0.1"], ["2606:4700::1", "::ffff:10.0.0.1"]):
        names.answers = [answer]
        with pytest.raises(NotPublic):
            await CheckedResolver(names).resolve("llm.acme.example", 443)
    names.answers = [["1.1.1.1", "2606:4700::1"]]
    assert len(await CheckedResolver(names).resolve("llm.acme.example", 443)) == 2


def anywhere(_address: str) -> None:
    """This machine plays the public internet."""


async def test_what_was_checked_is_connected_to_and_the_name_goes_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is asked about once: what it says a moment later is of no interest."""
    monkeypatch.setattr(ways, "public", anywhere)
    rebinding = Names(["127.0.0.1"], ["192.0.2.1"])
    async with ScriptedProvider() as provider:
        port = urlsplit(provider.base_url).port
        session = open_session(resolver=CheckedResolver(rebinding))
        url = f"http://llm.acme.example:{port}/v1/models"
        headers = {"Authorization": "Bearer sk-good-0123456789"}
        async with session, session.get(url, headers=headers) as response:
            assert response.status == 200
            assert response.request_info.headers["Host"] == f"llm.acme.example:{port}"
        assert len(provider.requests) == 1
    assert rebinding.asked == ["llm.acme.example"]


async def test_tls_is_spoken_with_the_name_not_with_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first bytes of a TLS connection name the host (SNI): that of the endpoint."""
    monkeypatch.setattr(ways, "public", anywhere)
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    session = open_session(resolver=CheckedResolver(Names(["127.0.0.1"])))
    async with server, session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"https://llm.acme.example:{port}/v1/models")
    assert b"llm.acme.example" in heard[0]
