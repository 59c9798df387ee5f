"""Usage and budgets over HTTP: what was used, what it cost, and what may still be spent."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web
from msgspec import Struct, structs

from contracts.budgets import (
    BudgetList,
    BudgetScope,
    BudgetView,
    ListBudgets,
    RemoveBudget,
    SetBudget,
)
from contracts.failures import Forbidden, NotFound
from contracts.ids import is_id
from contracts.keys import Done, ListTokens, Role, TokenList
from contracts.usage import AskUsage, Grouping, Sum, UsageLine, UsageReport
from services.edge.asks import ask
from services.edge.call import Call, plain
from services.edge.cost_bodies import BudgetBody, UsageQuery

MANAGERS = frozenset({Role.OWNER, Role.ADMIN})


class UsageLineAnswer(Struct, frozen=True, kw_only=True):
    """What was used under one key."""

    key: str
    """The day, `provider/model`, persona's slug (empty: a bare model) or token's id."""
    name: str
    """What people call it."""
    measured: Sum
    """As the providers counted."""
    estimated: Sum
    """As we counted, three bytes a token: what the provider counted never arrived."""
    unknown: Sum
    """Requests that may have been billed, and nobody knows how much."""


class UsageReportAnswer(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """What was used; sums of money are never added over currencies."""

    from_: str
    to: str
    by: Grouping
    items: list[UsageLineAnswer]
    total: UsageLineAnswer


class BudgetAnswer(BudgetView, frozen=True, kw_only=True):
    """A budget and how it stands, in USD."""

    id: str
    """As it stands in its address."""
    name: str
    """Whose it is, as people call it."""


class BudgetsAnswer(Struct, frozen=True):
    items: list[BudgetAnswer]


# --- Usage ----------------------------------------------------------------------------------


async def used(call: Call) -> web.StreamResponse:
    """The sums of some days."""
    query = call.query(UsageQuery)
    if query.by is Grouping.TOKEN and call.who.role not in MANAGERS:
        raise Forbidden(
            "Who has used how much is for owners and admins.",
            next_step="Ask by day, model or persona.",
        )
    since, until = query.days(datetime.now(UTC).date())
    command = AskUsage(
        workspace=call.workspace, since=since.isoformat(), until=until.isoformat(), by=query.by
    )
    report = await ask(call.tools.bus, "discussion", "usage", command, UsageReport)
    names = await _token_names(call) if query.by is Grouping.TOKEN else {}
    return plain(
        UsageReportAnswer(
            from_=report.since,
            to=report.until,
            by=report.by,
            items=[_line(line, names.get(line.key, line.key)) for line in report.items],
            total=_line(report.total, "total"),
        )
    )


def _line(line: UsageLine, name: str) -> UsageLineAnswer:
    return UsageLineAnswer(**structs.asdict(line), name=name)


async def _token_names(call: Call) -> dict[str, str]:
    command = ListTokens(workspace=call.workspace)
    tokens = await ask(call.tools.bus, "key_vault", "list_tokens", command, TokenList)
    return {token.id: token.label or f"{token.role.value} token" for token in tokens.items}


# --- Budgets --------------------------------------------------------------------------------


async def list_budgets(call: Call) -> web.StreamResponse:
    """The workspace's, and those of tokens."""
    command = ListBudgets(workspace=call.workspace)
    found = await ask(call.tools.bus, "discussion", "budgets", command, BudgetList)
    names = await _token_names(call)
    return plain(BudgetsAnswer([_budget(view, names) for view in found.items]))


async def read_budget(call: Call) -> web.StreamResponse:
    """One of them, as it stands."""
    scope, subject = _which(call)
    command = ListBudgets(workspace=call.workspace, scope=scope, subject=subject)
    found = await ask(call.tools.bus, "discussion", "budgets", command, BudgetList)
    return plain(_budget(found.items[0], await _token_names(call)))


async def set_budget(call: Call) -> web.StreamResponse:
    """So much may be spent from now on."""
    scope, subject = _which(call)
    body = await call.body(BudgetBody)
    names = await _token_names(call)
    if scope is BudgetScope.TOKEN and subject not in names:
        raise NotFound(
            "There is no access token with this id.",
            next_step="GET /api/v1/tokens lists those there are.",
        )
    command = SetBudget(
        workspace=call.workspace,
        scope=scope,
        subject=subject,
        amount=body.amount,
        period=body.period,
        strict=body.strict,
        by=call.who.token,
    )
    view = await ask(call.tools.bus, "discussion", "set_budget", command, BudgetView)
    return plain(_budget(view, names))


async def remove_budget(call: Call) -> web.StreamResponse:
    """It bounds nothing any more."""
    scope, subject = _which(call)
    command = RemoveBudget(
        workspace=call.workspace, scope=scope, subject=subject, by=call.who.token
    )
    await ask(call.tools.bus, "discussion", "remove_budget", command, Done)
    return web.Response(status=204)


def _which(call: Call) -> tuple[BudgetScope, str]:
    kind, colon, subject = call.segments["budget"].partition(":")
    if (kind, colon) == (BudgetScope.WORKSPACE, ""):
        return BudgetScope.WORKSPACE, ""
    try:
        scope = BudgetScope(kind)
    except ValueError:
        scope = BudgetScope.WORKSPACE
    if scope is BudgetScope.WORKSPACE or not is_id(subject):
        raise NotFound(
            "No budget can be called this.",
            next_step="There is workspace, token:<id>, discussion:<id> and run:<id>, the id as "
            "it is listed.",
        )
    return scope, subject


def _budget(view: BudgetView, names: dict[str, str]) -> BudgetAnswer:
    told = structs.asdict(view)
    id_ = f"{view.scope.value}:{view.subject}" if view.subject else view.scope.value
    name = names.get(view.subject, id_) if view.subject else "the workspace"
    return BudgetAnswer(**told, id=id_, name=name)
