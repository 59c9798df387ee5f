"""Which way a request takes: straight, or past a check that it leaves for the public internet.

Built-in providers and the operator's endpoints are gone to straight: those addresses come with
Parley or from whoever runs it, and may lead anywhere (a network with IPv6 only, or a proxy that
answers for every name, gives public names addresses that do not look public). An address that an
admin has added is checked as text once more, and whenever a connection is made, each address that
its name stands for. What is connected to is the address that was checked, not the name: between
the two a name could change its mind. The name still goes into TLS and the Host header.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from contracts.addresses import BadAddress, normal_form, public
from contracts.endpoints import CustomProvider, configured, ports
from services.provider_adapter.session import open_session

HINT = "address"
"""Of a failure: the address may not be gone to, and nothing was sent."""


class NotPublic(OSError):
    """The name stands for an address that is not on the public internet: nothing was sent."""


class CheckedResolver(AbstractResolver):
    """Finds the addresses of a name, and refuses the name if any of them is not public."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses; NotPublic says which one is not."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            if why := public(each["host"]):
                raise NotPublic(
                    f"{host} leads to {each['host']}, an address for {why}, not to the public "
                    "internet."
                )
        return found

    async def close(self) -> None:
        """Leave nothing open."""
        await self._resolver.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Two HTTP clients, and who may take which."""

    straight: aiohttp.ClientSession
    checked: aiohttp.ClientSession
    operators: frozenset[str]
    """Origins of the operator's endpoints."""
    ports: frozenset[int]

    @classmethod
    def open(cls, environ: Mapping[str, str], resolver: AbstractResolver | None = None) -> Ways:
        """`resolver` finds addresses for the checked way, unless the usual one does."""
        own = configured(environ).values()
        return cls(
            straight=open_session(),
            checked=open_session(resolver=CheckedResolver(resolver)),
            operators=frozenset(_origin(each.base_url) for each in own),
            ports=ports(environ),
        )

    def to(self, endpoint: str, custom: CustomProvider | None) -> aiohttp.ClientSession:
        """The client for a request there. BadAddress: none may go there."""
        if custom is None or _origin(endpoint) in self.operators:
            return self.straight
        normal_form(endpoint, self.ports)
        return self.checked

    async def close(self) -> None:
        """Close both."""
        await self.straight.close()
        await self.checked.close()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def not_allowed(error: BaseException) -> str:
    """What to say if it is for its address that a request was not made; empty if it is not."""
    match error:
        case BadAddress():
            return str(error)
        case aiohttp.ClientConnectorError(os_error=NotPublic() as why):
            return str(why)
        case _:
            return ""
