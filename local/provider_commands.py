"""`parley providers`: what each may be asked, what waits for it, and how to change its limits."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from local.providers import COLUMNS, KINDS, lines
from local.terminal import Url, show, with_api

app = typer.Typer(
    invoke_without_command=True, help="What each provider may be asked, and what waits for it."
)


@app.callback()
def list_providers(context: typer.Context, url: Url = "") -> None:
    """What each provider may be asked, what waits for it, and why."""
    if context.invoked_subcommand is None:
        items = with_api(url, lambda api: api.get("/api/v1/providers"))["items"]
        show(COLUMNS, lines(items))


@app.command("limits")
def set_limits(
    provider: Annotated[str, typer.Argument(help="Whose, e.g. kimi.")],
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens a minute.")] = None,
    tpd: Annotated[int | None, typer.Option(min=1, help="Tokens a day.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Answers at the same time.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Back to what is declared or assumed.")
    ] = False,
    url: Url = "",
) -> None:
    """Change what an account at the provider may use, at once; what is not named stays."""
    named = {"rpm": rpm, "tpm": tpm, "tpd": tpd, "concurrency": concurrency}
    body = {kind: value for kind, value in named.items() if value is not None}
    if reset:
        body = {kind: body.get(kind) for kind in KINDS}
    if not body:
        print("Name a limit, e.g. --rpm 3, or --reset.", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    path = f"/api/v1/providers/{provider}/limits"
    show(COLUMNS, lines([with_api(url, lambda api: api.put(path, body))]))
