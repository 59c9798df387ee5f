"""Addresses of what was used, what it cost, and what may be spent."""

from __future__ import annotations

from services.edge import costs
from services.edge.call import Route
from services.edge.cost_bodies import BudgetBody, UsageQuery
from services.edge.routes.who import API, MANAGERS, READERS

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{API}/usage",
        answer=costs.used,
        roles=READERS,
        summary="What was used and what it cost: measured, estimated and unknown apart",
        tag="costs",
        query=UsageQuery,
        gives=costs.UsageReportAnswer,
    ),
    Route(
        method="GET",
        path=f"{API}/budgets",
        answer=costs.list_budgets,
        roles=MANAGERS,
        summary="List the budgets of the workspace and of access tokens, and how they stand",
        tag="costs",
        gives=costs.BudgetsAnswer,
    ),
    Route(
        method="GET",
        path=f"{API}/budgets/{{budget}}",
        answer=costs.read_budget,
        roles=MANAGERS,
        summary="Read a budget: workspace, token:<id>, discussion:<id> or run:<id>",
        tag="costs",
        gives=costs.BudgetAnswer,
    ),
    Route(
        method="PUT",
        path=f"{API}/budgets/{{budget}}",
        answer=costs.set_budget,
        roles=MANAGERS,
        summary="Say how much may be spent, from the next request on",
        tag="costs",
        body=BudgetBody,
        gives=costs.BudgetAnswer,
    ),
    Route(
        method="DELETE",
        path=f"{API}/budgets/{{budget}}",
        answer=costs.remove_budget,
        roles=MANAGERS,
        summary="Remove a budget",
        tag="costs",
        status=204,
    ),
)
