"""The `parley` command.

Each command imports what it needs itself, so that none waits for the parts of another.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from local.api import Api, Problem
from local.home import Home

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
keys = typer.Typer(no_args_is_help=True, help="The providers' keys in the vault.")
app.add_typer(keys, name="keys")

Url = Annotated[
    str, typer.Option(envvar="PARLEY_URL", help="Where Parley is; found by itself if it is here.")
]
Topic = Annotated[str, typer.Argument(help="The question.")]
Personas = Annotated[
    list[str] | None,
    typer.Option("--persona", "-p", help="Who answers, e.g. riley-engstrom; may be repeated."),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="On which model, e.g. kimi/kimi-k2.6; may be repeated."),
]


@app.callback()
def _parley() -> None:
    """Personas discuss, compare and agree, over your own language model keys."""


@app.command()
def up() -> None:
    """Run the whole system on this machine, until Ctrl-C."""
    from local.up import up as run

    sys.exit(run(os.environ))


@app.command()
def ask(topic: Topic, persona: Personas = None, model: Models = None, url: Url = "") -> None:
    """Ask a question and watch the answers being written."""
    from local.ask import Question
    from local.ask import ask as put

    question = Question(topic, tuple(persona or ()), tuple(model or ()))
    sys.exit(_with_api(url, lambda api: put(api, question, Console())))


@app.command()
def demo(topic: Annotated[str, typer.Argument(help="Another question.")] = "") -> None:
    """One question, three personas, side by side; starts Parley for that long if need be."""
    from local.demo import demo as show

    sys.exit(_told(lambda: show(topic, os.environ)))


@app.command()
def doctor(url: Url = "") -> None:
    """Look at everything that Parley needs, and say what to do where something is amiss."""
    from local.doctor import doctor as look

    sys.exit(_told(lambda: look(Home.chosen(), url)))


@app.command()
def seed() -> None:
    """Put the built-in personas into a running Parley again."""
    from local.seeding import seed as put_back

    for name in _told(lambda: put_back(Home.chosen())):
        print(name)  # noqa: T201


@keys.command("add")
def add_key(
    provider: Annotated[str, typer.Argument(help="Whose key, e.g. kimi.")],
    label: str = "",
    region: Annotated[str, typer.Option(help="Vendor's host: ai, cn, code, auto.")] = "",
    url: Url = "",
) -> None:
    """Add a key. It is read from the terminal without being shown, or from a pipe."""
    from getpass import getpass

    secret = getpass(f"{provider} key: ") if sys.stdin.isatty() else sys.stdin.readline()
    body = {"provider": provider, "secret": secret.strip(), "label": label, "region": region}
    given = {name: value for name, value in body.items() if value}
    added = _with_api(url, lambda api: api.post("/api/v1/keys", given))
    _show_keys([added])
    for name in ("reason", "next_step"):
        if added.get(name):
            print(added[name], file=sys.stderr)  # noqa: T201
    sys.exit(0 if added.get("state") == "active" else 1)


@keys.command("list")
def list_keys(url: Url = "") -> None:
    """The keys, as far as anybody may see them."""
    _show_keys(_with_api(url, lambda api: api.get("/api/v1/keys"))["items"])


def _show_keys(items: list[dict[str, Any]]) -> None:
    columns = ("id", "provider", "state", "endpoint", "label", "reason")
    table = Table(*columns, box=None)
    for item in items:
        table.add_row(*(str(item.get(column, "")) for column in columns))
    Console().print(table)


def _with_api(url: str, work: Callable[[Api], Awaitable[T]]) -> T:
    """Do it with the Parley that is meant: named, running in the home, or at the usual address."""
    home = Home.chosen()
    facts = home.facts()
    port = os.environ.get("PARLEY_PORT") or "8080"
    where = url or (facts.url if facts else f"http://127.0.0.1:{port}")
    token = os.environ.get("PARLEY_TOKEN") or home.token()

    async def run() -> T:
        async with Api.at(where, token) as api:
            return await work(api)

    return _told(run)


def _told(work: Callable[[], Awaitable[T]]) -> T:
    """Run it; what goes wrong in a known way is told in words and ends the command."""

    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except Problem as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """Entry point of the command."""
    app(prog_name="parley")
