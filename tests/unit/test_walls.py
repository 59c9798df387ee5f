"""The wall that import-linter cannot name: one room, and only one, makes HTTP requests.

`aiohttp` is both a server and a client, so the module's name says nothing; what is written of
it does. The other walls stand in pyproject.toml.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("contracts", "shared", "services")
THE_ONE = ROOT / "services" / "provider_adapter"

CLIENTS = {"aiohttp.ClientSession", "aiohttp.request", "aiohttp.client"}
CLIENT_MODULES = {"http.client", "httpcore", "httpx", "requests", "urllib.request", "urllib3"}


def clients_named_in(source: str) -> Iterator[tuple[int, str]]:
    """Every line that names an HTTP client, and the name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                said = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                said = [module, *(f"{module}.{alias.name}" for alias in names)]
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                said = [f"{owner}.{name}"]
            case _:
                continue
        for name in said:
            module = any(name == known or name.startswith(f"{known}.") for known in CLIENT_MODULES)
            if module or any(name.startswith(known) for known in CLIENTS):
                yield node.lineno, name


def test_only_the_provider_adapter_makes_http_requests() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} names {name}"
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if not path.is_relative_to(THE_ONE)
        for line, name in clients_named_in(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import httpx",
        "import urllib.request",
        "from urllib import request",
        "from aiohttp import ClientSession",
        "import aiohttp\nasync def ask():\n    async with aiohttp.ClientSession(): ...",
        "import aiohttp\nask = aiohttp.request('GET', 'http://there')",
        "from aiohttp.client import ClientSession",
    ],
)
def test_a_client_is_recognised_in_every_spelling(source: str) -> None:
    assert list(clients_named_in(source))


@pytest.mark.parametrize(
    "source",
    ["from aiohttp import web", "import aiohttp.web", "import urllib.parse", "request.headers"],
)
def test_a_server_is_no_client(source: str) -> None:
    assert not list(clients_named_in(source))
