"""The `parley` command.

Each command imports what it needs itself, so that none waits for the parts of another.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import os
import sys

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
def up() -> None:
    """Run the whole system on this machine, until Ctrl-C."""
    from local.up import up as run

    sys.exit(run(os.environ))


@app.callback()
def _parley() -> None:
    """Personas discuss, compare and agree, over your own language model keys."""


def main() -> None:
    """Entry point of the command."""
    app()
