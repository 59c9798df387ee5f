"""Adding a provider is one row: in a copy of Parley one is added, and nothing else is touched.

`docs/adding-a-provider.md` tells the same story in prose.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.home import CHECKOUT, Home
from local.scripted.server import ScriptedProvider
from tests.eventually import eventually
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, until_it_answers

ROW = """\
ACME = Provider(
    name="acme",
    title="Acme Models",
    dialect=Dialect.OPENAI_CHAT,
    regions=(Region(name="global", base_url="https://api.acme.test/v1", env="ACME_BASE_URL"),),
    docs="https://acme.test/docs",
    leaves_out=frozenset({"seed"}),
    default_models=("kimi-k2.6",),
)

"""
LIST = "PROVIDERS: Mapping[str, Provider] = {"
FIRST = "    for row in (\n        "


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of Parley with one row more."""
    copy = tmp_path / "house"
    for room in ("contracts", "shared", "services", "local", "docs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / room, copy / room, ignore=ignored)
    rows = copy / "contracts" / "providers.py"
    text = rows.read_text()
    assert text.count(LIST) == text.count(FIRST) == 1
    rows.write_text(text.replace(LIST, ROW + LIST).replace(FIRST, FIRST + "ACME, "))
    return copy


def told(house: Path, *words: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=house,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout


def test_the_command_and_the_documentation_know_it(house: Path) -> None:
    assert "acme" in told(house, "local", "keys", "add", "--help")

    told(house, "docs.providers")
    table = (house / "docs" / "providers.md").read_text()
    assert "| `acme` | [Acme Models](https://acme.test/docs) | `openai_chat` |" in table
    assert "`ACME_BASE_URL`" in table


async def test_the_running_system_knows_it(house: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    async with ScriptedProvider() as provider, aiohttp.ClientSession() as http:
        settings = {"ACME_BASE_URL": provider.base_url, "ACME_LIMITS": "rpm=6000"}
        try:
            with launched(home, house, **settings) as system:
                running = RunningSystem(system, await system.ready(), "")
                client = Client(running, http)
                await eventually(lambda: ready(client))
                await described(client)
                await asked(client)
                system.process.terminate()
                await system.ended()
        finally:
            erase(home)


async def ready(client: Client) -> bool:
    try:
        return (await client.ask("GET", "/readyz"))[0] == 200
    except OSError:
        return False


async def described(client: Client) -> None:
    _, openapi = await client.ask("GET", "/openapi.json")
    (names, _) = openapi["components"]["schemas"]["KeyBody"]["properties"]["provider"]["anyOf"]
    assert "acme" in names["enum"]

    _, listed = await client.ask("GET", "/api/v1/providers")  # what the page shows
    (acme,) = [row for row in listed["items"] if row["name"] == "acme"]
    assert (acme["title"], acme["needs_key"], acme["available"]) == ("Acme Models", True, False)
    assert acme["reason"] == "No working key. Add one: parley keys add acme"

    status, problem = await client.ask(
        "POST", "/api/v1/keys", {"provider": "acmee", "secret": "sk-0123456789abcdef"}
    )
    assert (status, problem["nearest"][0]) == (422, "acme")


async def asked(client: Client) -> None:
    status, key = await client.ask(
        "POST", "/api/v1/keys", {"provider": "acme", "secret": "sk-0123456789abcdef"}
    )
    assert (status, key["state"]) == (201, "active"), key
    await until_it_answers(client.system)

    body: dict[str, Any] = {
        "topic": "[[text: One row.]]",
        "participants": [{"model": "acme/kimi-k2.6"}],
        "options": {"seed": 7},
    }
    discussion = await eventually(lambda: opens(client, body))
    assert discussion is not None

    async def finished() -> dict[str, Any] | None:
        view = await client.read(discussion)
        return view if view["state"] in {"completed", "failed"} else None

    view = await eventually(finished)
    assert view is not None
    (turn,) = view["turns"]
    assert (turn["text"], turn["model"]) == ("One row.", "acme/kimi-k2.6")
    assert turn["notes"] == ["seed was left out: Acme Models does not take it."]


async def opens(client: Client, body: dict[str, Any]) -> str | None:
    """The key is active at once; discussion hears of it a moment later."""
    status, opened = await client.ask("POST", "/api/v1/discussions", body)
    return opened["id"] if status == 201 else None
