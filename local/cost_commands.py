"""`parley usage` and `parley budgets`: what was used, what it cost, and what may be spent."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from local.costs import told_of_budgets, told_of_usage
from local.terminal import Url, show, with_api

app = typer.Typer(invoke_without_command=True, help="What may be spent, and what is left of it.")


def usage(
    since: Annotated[str, typer.Option("--from", help="First day, in UTC: 2026-11-01.")] = "",
    until: Annotated[str, typer.Option("--to", help="Last day; today if left out.")] = "",
    by: Annotated[str, typer.Option(help="day, model, persona or token.")] = "day",
    url: Url = "",
) -> None:
    """What was used and what it cost; what was only estimated stands apart."""
    asked = {"from": since, "to": until, "by": by}
    query = urlencode({name: value for name, value in asked.items() if value})
    report = with_api(url, lambda api: api.get(f"/api/v1/usage?{query}"))
    show(*told_of_usage(report))
    print(f"From {report['from']} to {report['to']}, days in UTC.", file=sys.stderr)  # noqa: T201


BudgetId = Annotated[
    str, typer.Argument(help="workspace, token:<id>, discussion:<id> or run:<id>.")
]


@app.callback()
def list_budgets(context: typer.Context, url: Url = "") -> None:
    """What may be spent, what is spent of it, and what is held for running requests."""
    if context.invoked_subcommand is None:
        show(*told_of_budgets(with_api(url, lambda api: api.get("/api/v1/budgets"))["items"]))


@app.command("set")
def set_budget(
    budget: BudgetId,
    amount: Annotated[str, typer.Argument(help="USD, e.g. 5 or 0.50.")],
    period: Annotated[str, typer.Option(help="day, month or total.")] = "month",
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse models without a known price, too.")
    ] = False,
    url: Url = "",
) -> None:
    """Say how much may be spent, from the next request on."""
    body = {"amount": amount, "period": period, "strict": strict}
    show(*told_of_budgets([with_api(url, lambda api: api.put(_of_budget(budget), body))]))


@app.command("show")
def show_budget(budget: BudgetId, url: Url = "") -> None:
    """How one of them stands."""
    show(*told_of_budgets([with_api(url, lambda api: api.get(_of_budget(budget)))]))


@app.command("remove")
def remove_budget(budget: BudgetId, url: Url = "") -> None:
    """Let it bound nothing any more."""
    with_api(url, lambda api: api.delete(_of_budget(budget)))


def _of_budget(budget: str) -> str:
    return f"/api/v1/budgets/{quote(budget, safe=':')}"
