"""What every command of `parley` does alike: ask the Parley that is meant, tell, show a table."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from local.api import Api, Problem
from local.home import Home

T = TypeVar("T")

Url = Annotated[
    str, typer.Option(envvar="PARLEY_URL", help="Where Parley is; found by itself if it is here.")
]


def show(columns: tuple[str, ...], items: list[dict[str, Any]]) -> None:
    """The items as a table."""
    table = Table(*columns, box=None)
    for item in items:
        table.add_row(*(str(item.get(column, "")) for column in columns))
    # In a pipe there is no width to fit into: what is cut off could not be used.
    Console(width=None if sys.stdout.isatty() else 400).print(table)


def with_api(url: str, work: Callable[[Api], Awaitable[T]]) -> T:
    """Do it with the Parley that is meant: named, running in the home, or at the usual address."""
    home = Home.chosen()
    facts = home.facts()
    port = os.environ.get("PARLEY_PORT") or "8080"
    where = url or (facts.url if facts else f"http://127.0.0.1:{port}")
    token = os.environ.get("PARLEY_TOKEN") or home.token()

    async def run() -> T:
        async with Api.at(where, token) as api:
            return await work(api)

    return told(run)


def text_of(file: str) -> str:
    """The text of a file, or of standard input."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"{file} cannot be read: {error}. Name a text file in UTF-8.", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def told(work: Callable[[], Awaitable[T]]) -> T:
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
