"""Every address that the edge answers, in one table: method, path, who may, what goes in and out.

An address that is not here does not exist, and a line without roles is open on purpose: the tests
read this table, the description at /openapi.json is made of it, and the router knows nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from rapidfuzz import process

from contracts.failures import NotFound
from contracts.keys import (
    EndpointList,
    EndpointView,
    KeyList,
    KeyView,
    Rewrapped,
    Role,
    TokenList,
)
from contracts.personas import PersonasImported
from contracts.supply import CatalogsRefreshed, ModelList
from contracts.workflows import RunView, WorkflowList, WorkflowView
from services.edge import (
    costs,
    discussions,
    docs,
    endpoints,
    health,
    keys,
    models,
    openai,
    personas,
    runs,
    sessions,
    several,
    sse,
    static,
    tokens,
    vault,
    workflows,
)
from services.edge.answers import DiscussionAnswer, EstimateAnswer, OpenedAnswer
from services.edge.bodies import (
    EndpointBody,
    EndpointSettings,
    ExportQuery,
    FollowQuery,
    ForkBody,
    KeyBody,
    LimitsBody,
    ListQuery,
    OpenBody,
    PickBody,
    PostBody,
    PruneBody,
    RenameBody,
    RotateBody,
    TokenBody,
)
from services.edge.call import Route
from services.edge.cost_bodies import BudgetBody, UsageQuery
from services.edge.discussions import DiscussionsAnswer
from services.edge.openai_bodies import CompletionBody
from services.edge.openai_words import Completion, ModelCard, ModelCards
from services.edge.persona_bodies import ImportBody, PersonaBody, PersonasQuery, RevisionBody
from services.edge.problems import MethodNotAllowed
from services.edge.session import SessionAnswer
from services.edge.workflow_bodies import (
    ChooseBody,
    ForkRunBody,
    RunBody,
    RunsQuery,
    WorkflowBody,
)

ANYBODY = None
READERS = frozenset(Role)
ASKERS = READERS - {Role.VIEWER}
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})
OWNERS = frozenset({Role.OWNER})

API = "/api/v1"

ROUTES: tuple[Route, ...] = (
    # --- Discussions
    Route(
        method="POST",
        path=f"{API}/discussions",
        answer=discussions.open_one,
        roles=ASKERS,
        summary="Begin a discussion",
        tag="discussions",
        body=OpenBody,
        gives=OpenedAnswer,
        status=201,
        idempotent=True,
    ),
    Route(
        method="POST",
        path=f"{API}/estimates",
        answer=discussions.estimate_one,
        roles=ASKERS,
        summary="Estimate what a discussion would take; begins nothing",
        tag="discussions",
        body=OpenBody,
        gives=EstimateAnswer,
    ),
    Route(
        method="GET",
        path=f"{API}/discussions",
        answer=discussions.list_them,
        roles=READERS,
        summary="List discussions, newest first",
        tag="discussions",
        query=ListQuery,
        gives=DiscussionsAnswer,
    ),
    Route(
        method="GET",
        path=f"{API}/discussions/events",
        answer=several.follow,
        roles=READERS,
        summary="Follow several discussions over one connection (server-sent events)",
        tag="discussions",
        query=FollowQuery,
        media="text/event-stream",
    ),
    Route(
        method="GET",
        path=f"{API}/discussions/{{id}}",
        answer=discussions.read_one,
        roles=READERS,
        summary="Read a discussion as it stands",
        tag="discussions",
        gives=DiscussionAnswer,
    ),
    Route(
        method="GET",
        path=f"{API}/discussions/{{id}}/events",
        answer=sse.follow,
        roles=READERS,
        summary="Follow a discussion live (server-sent events)",
        tag="discussions",
        media="text/event-stream",
    ),
    Route(
        method="POST",
        path=f"{API}/discussions/{{id}}/cancel",
        answer=discussions.cancel_one,
        roles=ASKERS,
        summary="Stop a discussion",
        tag="discussions",
        gives=DiscussionAnswer,
    ),
    Route(
        method="POST",
        path=f"{API}/discussions/{{id}}/turns/{{turn}}/retry",
        answer=discussions.retry_turn,
        roles=ASKERS,
        summary="Try a turn again that failed, was cancelled, or waits",
        tag="discussions",
        gives=DiscussionAnswer,
    ),
    Route(
        method="PATCH",
        path=f"{API}/discussions/{{id}}",
        answer=discussions.rename_one,
        roles=ASKERS,
        summary="Give a discussion another title",
        tag="discussions",
        body=RenameBody,
        gives=DiscussionAnswer,
    ),
    Route(
        method="DELETE",
        path=f"{API}/discussions/{{id}}",
        answer=discussions.delete_one,
        roles=ASKERS,
        summary="Delete what was said in a discussion, for good; what runs is cancelled first",
        tag="discussions",
        status=204,
    ),
    Route(
        method="GET",
        path=f"{API}/discussions/{{id}}/export",
        answer=discussions.export_one,
        roles=READERS,
        summary="Export a discussion: Markdown, or JSON where format or Accept say so",
        tag="discussions",
        query=ExportQuery,
        media="text/markdown",
    ),
    Route(
        method="POST",
        path=f"{API}/discussions/{{id}}/messages",
        answer=discussions.post_message,
        roles=ASKERS,
        summary="Say something into a discussion; one that is over goes on",
        tag="discussions",
        body=PostBody,
        gives=DiscussionAnswer,
        status=201,
        idempotent=True,
    ),
    Route(
        method="POST",
        path=f"{API}/discussions/{{id}}/conclude",
        answer=discussions.conclude_one,
        roles=ASKERS,
        summary="Let a discussion end without further rounds",
        tag="discussions",
        gives=DiscussionAnswer,
    ),
    Route(
        method="POST",
        path=f"{API}/discussions/{{id}}/pick",
        answer=discussions.pick_winner,
        roles=ASKERS,
        summary="Pick the best answer of a comparison",
        tag="discussions",
        body=PickBody,
        gives=DiscussionAnswer,
    ),
    Route(
        method="POST",
        path=f"{API}/discussions/{{id}}/fork",
        answer=discussions.fork_one,
        roles=ASKERS,
        summary="Ask a turn again, of another persona or model, in a discussion of its own",
        tag="discussions",
        body=ForkBody,
        gives=OpenedAnswer,
        status=201,
        idempotent=True,
    ),
    # --- Workflows and their runs
    Route(
        method="GET",
        path=f"{API}/workflows",
        answer=workflows.list_them,
        roles=READERS,
        summary="List workflows",
        tag="workflows",
        gives=WorkflowList,
    ),
    Route(
        method="POST",
        path=f"{API}/workflows",
        answer=workflows.define_one,
        roles=ASKERS,
        summary="Define a workflow",
        tag="workflows",
        body=WorkflowBody,
        gives=WorkflowView,
        status=201,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/workflows/{{slug}}",
        answer=workflows.read_one,
        roles=READERS,
        summary="Read a workflow",
        tag="workflows",
        gives=WorkflowView,
    ),
    Route(
        method="PUT",
        path=f"{API}/workflows/{{slug}}",
        answer=workflows.revise_one,
        roles=ASKERS,
        summary="Revise a workflow; runs that have begun keep their version",
        tag="workflows",
        body=WorkflowBody,
        gives=WorkflowView,
    ),
    Route(
        method="DELETE",
        path=f"{API}/workflows/{{slug}}",
        answer=workflows.archive_one,
        roles=ASKERS,
        summary="Put a workflow away; its runs stay",
        tag="workflows",
        status=204,
    ),
    Route(
        method="POST",
        path=f"{API}/workflows/{{id}}/runs",
        answer=workflows.start_one,
        roles=ASKERS,
        summary="Start a run of a workflow",
        tag="workflows",
        body=RunBody,
        gives=workflows.RunOpened,
        status=201,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/runs",
        answer=runs.list_them,
        roles=READERS,
        summary="List runs, newest first",
        tag="workflows",
        query=RunsQuery,
        gives=runs.RunsAnswer,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{id}}",
        answer=runs.read_one,
        roles=READERS,
        summary="Read a run as it stands",
        tag="workflows",
        gives=RunView,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{id}}/events",
        answer=runs.follow,
        roles=READERS,
        summary="Follow a run live (server-sent events)",
        tag="workflows",
        media="text/event-stream",
    ),
    Route(
        method="POST",
        path=f"{API}/runs/{{id}}/gates/{{step}}",
        answer=runs.choose,
        roles=ASKERS,
        summary="Choose at a gate where a person is asked",
        tag="workflows",
        body=ChooseBody,
        gives=RunView,
    ),
    Route(
        method="POST",
        path=f"{API}/runs/{{id}}/cancel",
        answer=runs.cancel_one,
        roles=ASKERS,
        summary="Stop a run and its discussions",
        tag="workflows",
        gives=RunView,
    ),
    Route(
        method="POST",
        path=f"{API}/runs/{{id}}/fork",
        answer=runs.fork_one,
        roles=ASKERS,
        summary="Begin another run that keeps what came before a step",
        tag="workflows",
        body=ForkRunBody,
        gives=workflows.RunOpened,
        status=201,
        idempotent=True,
    ),
    # --- Keys
    Route(
        method="POST",
        path=f"{API}/keys",
        answer=keys.add_one,
        roles=MANAGERS,
        summary="Add a provider key",
        tag="keys",
        body=KeyBody,
        gives=KeyView,
        status=201,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/keys",
        answer=keys.list_them,
        roles=MANAGERS,
        summary="List provider keys and their states",
        tag="keys",
        gives=KeyList,
    ),
    Route(
        method="GET",
        path=f"{API}/keys/{{id}}",
        answer=keys.read_one,
        roles=MANAGERS,
        summary="Read a provider key's state",
        tag="keys",
        gives=KeyView,
    ),
    Route(
        method="POST",
        path=f"{API}/keys/{{id}}/verify",
        answer=keys.verify_one,
        roles=MANAGERS,
        summary="Ask the provider whether a key works",
        tag="keys",
        gives=KeyView,
    ),
    Route(
        method="POST",
        path=f"{API}/keys/{{id}}/rotate",
        answer=keys.rotate_one,
        roles=MANAGERS,
        summary="Replace a key's secret, if the provider takes the new one",
        tag="keys",
        body=RotateBody,
        gives=KeyView,
    ),
    Route(
        method="POST",
        path=f"{API}/keys/{{id}}/disable",
        answer=keys.disable_one,
        roles=MANAGERS,
        summary="Take a key out of use",
        tag="keys",
        gives=KeyView,
    ),
    Route(
        method="POST",
        path=f"{API}/keys/{{id}}/enable",
        answer=keys.enable_one,
        roles=MANAGERS,
        summary="Verify a key and take it into use again",
        tag="keys",
        gives=KeyView,
    ),
    Route(
        method="DELETE",
        path=f"{API}/keys/{{id}}",
        answer=keys.revoke_one,
        roles=MANAGERS,
        summary="Revoke a key for ever and destroy its secret",
        tag="keys",
        gives=KeyView,
    ),
    Route(
        method="POST",
        path=f"{API}/keys/prune",
        answer=keys.prune_them,
        roles=MANAGERS,
        summary="Take refused, replaced and revoked keys off the list",
        tag="keys",
        body=PruneBody,
        gives=KeyList,
    ),
    Route(
        method="POST",
        path=f"{API}/vault/rewrap",
        answer=vault.rewrap_it,
        roles=OWNERS,
        summary="Change the key that encrypts all keys at rest",
        tag="keys",
        gives=Rewrapped,
    ),
    # --- Endpoints beside the built-in providers
    Route(
        method="POST",
        path=f"{API}/endpoints",
        answer=endpoints.add_one,
        roles=MANAGERS,
        summary="Add an OpenAI-compatible endpoint as a provider of your own",
        tag="endpoints",
        body=EndpointBody,
        gives=EndpointView,
        status=201,
    ),
    Route(
        method="GET",
        path=f"{API}/endpoints",
        answer=endpoints.list_them,
        roles=READERS,
        summary="List the endpoints beside the built-in providers",
        tag="endpoints",
        gives=EndpointList,
    ),
    Route(
        method="PUT",
        path=f"{API}/endpoints/{{name}}",
        answer=endpoints.change_one,
        roles=MANAGERS,
        summary="Change an endpoint; keys do not follow it to another address",
        tag="endpoints",
        body=EndpointSettings,
        gives=EndpointView,
    ),
    Route(
        method="DELETE",
        path=f"{API}/endpoints/{{name}}",
        answer=endpoints.remove_one,
        roles=MANAGERS,
        summary="Remove an endpoint; nobody is lent its keys any more",
        tag="endpoints",
        status=204,
    ),
    # --- Access tokens
    Route(
        method="POST",
        path=f"{API}/tokens",
        answer=tokens.issue_one,
        roles=MANAGERS,
        summary="Issue an access token; it is shown this once",
        tag="tokens",
        body=TokenBody,
        gives=tokens.IssuedToken,
        status=201,
    ),
    Route(
        method="GET",
        path=f"{API}/tokens",
        answer=tokens.list_them,
        roles=MANAGERS,
        summary="List access tokens, without the tokens",
        tag="tokens",
        gives=TokenList,
    ),
    Route(
        method="DELETE",
        path=f"{API}/tokens/{{id}}",
        answer=tokens.revoke_one,
        roles=MANAGERS,
        summary="Revoke an access token",
        tag="tokens",
        status=204,
    ),
    # --- Personas, models, providers
    Route(
        method="GET",
        path=f"{API}/personas",
        answer=personas.list_them,
        roles=READERS,
        summary="List personas",
        tag="personas",
        query=PersonasQuery,
        gives=personas.PersonasAnswer,
    ),
    Route(
        method="POST",
        path=f"{API}/personas",
        answer=personas.create_one,
        roles=ASKERS,
        summary="Create a persona",
        tag="personas",
        body=PersonaBody,
        gives=personas.PersonaAnswer,
        status=201,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/personas/export",
        answer=personas.export_all,
        roles=READERS,
        summary="Export all personas as one document",
        tag="personas",
        gives=personas.PersonasDocument,
    ),
    Route(
        method="POST",
        path=f"{API}/personas/import",
        answer=personas.import_them,
        roles=ASKERS,
        summary="Import a document of personas: all of them or none",
        tag="personas",
        body=ImportBody,
        gives=PersonasImported,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/personas/{{slug}}",
        answer=personas.read_one,
        roles=READERS,
        summary="Read a persona, and how its default model stands",
        tag="personas",
        gives=personas.PersonaAnswer,
    ),
    Route(
        method="PUT",
        path=f"{API}/personas/{{slug}}",
        answer=personas.revise_one,
        roles=ASKERS,
        summary="Make a persona's next version; brings back an archived one",
        tag="personas",
        body=RevisionBody,
        gives=personas.PersonaAnswer,
    ),
    Route(
        method="DELETE",
        path=f"{API}/personas/{{slug}}",
        answer=personas.archive_one,
        roles=ASKERS,
        summary="Archive a persona; nobody can ask it until it is revised",
        tag="personas",
        status=204,
    ),
    Route(
        method="GET",
        path=f"{API}/personas/{{slug}}/export",
        answer=personas.export_one,
        roles=READERS,
        summary="Export one persona as a document",
        tag="personas",
        gives=personas.PersonasDocument,
    ),
    Route(
        method="GET",
        path=f"{API}/models",
        answer=models.list_models,
        roles=READERS,
        summary="List models that can be used now",
        tag="models",
        gives=ModelList,
    ),
    Route(
        method="POST",
        path=f"{API}/models/refresh",
        answer=models.refresh_models,
        roles=MANAGERS,
        summary="Look at the providers' lists of models now",
        tag="models",
        gives=CatalogsRefreshed,
    ),
    Route(
        method="GET",
        path=f"{API}/providers",
        answer=models.list_providers,
        roles=READERS,
        summary="List providers, their limits and what waits",
        tag="models",
        gives=models.ProvidersAnswer,
    ),
    Route(
        method="PUT",
        path=f"{API}/providers/{{provider}}/limits",
        answer=models.set_limits,
        roles=MANAGERS,
        summary="Change what a provider's accounts may use, at once",
        tag="models",
        body=LimitsBody,
        gives=models.ProviderAnswer,
    ),
    # --- Costs
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
    # --- Session
    Route(
        method="POST",
        path=f"{API}/session",
        answer=sessions.sign_in,
        roles=ANYBODY,
        summary="Exchange a bearer token for a session cookie",
        tag="session",
        gives=SessionAnswer,
        status=201,
    ),
    Route(
        method="GET",
        path=f"{API}/session",
        answer=sessions.who_am_i,
        roles=READERS,
        summary="Who is asking",
        tag="session",
        gives=SessionAnswer,
    ),
    Route(
        method="DELETE",
        path=f"{API}/session",
        answer=sessions.sign_out,
        roles=ANYBODY,
        summary="End the browser's session",
        tag="session",
        status=204,
    ),
    # --- The OpenAI-compatible door
    Route(
        method="POST",
        path="/v1/chat/completions",
        answer=openai.complete,
        roles=ASKERS,
        summary="Complete a chat, as OpenAI's API has it",
        tag="openai",
        body=CompletionBody,
        gives=Completion,
    ),
    Route(
        method="GET",
        path="/v1/models",
        answer=openai.list_models,
        roles=READERS,
        summary="List models, as OpenAI's API has it",
        tag="openai",
        gives=ModelCards,
    ),
    Route(
        method="GET",
        path="/v1/models/{model...}",
        answer=openai.read_model,
        roles=READERS,
        summary="Read a model, as OpenAI's API has it",
        tag="openai",
        gives=ModelCard,
    ),
    # --- Health and description
    Route(
        method="GET",
        path="/healthz",
        answer=health.healthz,
        roles=ANYBODY,
        summary="Whether this process runs",
        tag="health",
        gives=health.HealthAnswer,
    ),
    Route(
        method="GET",
        path="/readyz",
        answer=health.readyz,
        roles=ANYBODY,
        summary="Whether all services answer",
        tag="health",
        gives=health.ReadyAnswer,
    ),
    Route(
        method="GET",
        path="/metrics",
        answer=health.metrics,
        roles=ANYBODY,  # loopback, or an administrator's token: it sees to that itself
        summary="Numbers for Prometheus",
        tag="health",
        media="text/plain",
    ),
    Route(
        method="GET",
        path="/openapi.json",
        answer=docs.description,
        roles=ANYBODY,
        summary="This description",
        tag="description",
    ),
    Route(
        method="GET",
        path="/docs",
        answer=docs.page,
        roles=ANYBODY,
        summary="This description, for people",
        tag="description",
        media="text/html",
    ),
    Route(
        method="GET",
        path="/docs/style.css",
        answer=docs.style,
        roles=ANYBODY,
        summary="How the description looks",
        tag="description",
        media="text/css",
    ),
    # --- The web page
    Route(
        method="GET",
        path="/",
        answer=static.index,
        roles=ANYBODY,
        summary="The web page",
        tag="page",
        media="text/html",
    ),
    Route(
        method="GET",
        path="/pages/{path...}",
        answer=static.page_file,
        roles=ANYBODY,
        summary="A file of the web page",
        tag="page",
        media="*/*",
    ),
)


def match(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """The line of the table for a request; NotFound or MethodNotAllowed if there is none."""
    asked = [unquote(segment, errors="replace") for segment in raw_path.split("/")[1:]]
    allowed: list[str] = []
    for route, steps in _SPLIT:
        segments = _fit(steps, asked)
        if segments is None:
            continue
        if method == route.method or (method == "HEAD" and route.method == "GET"):
            return route, segments
        allowed.append(route.method)
    if allowed:
        if "GET" in allowed:
            allowed.append("HEAD")
        methods = ", ".join(sorted(allowed))
        raise MethodNotAllowed(f"This address takes {methods}.", headers={"Allow": methods})
    raise NotFound(
        "There is nothing at this address.",
        nearest=_near(method, raw_path),
        next_step="/docs lists every address.",
    )


def _fit(steps: Sequence[str], asked: Sequence[str]) -> dict[str, str] | None:
    """What the named steps of a path stand for; None if it is another path."""
    found: dict[str, str] = {}
    for at, step in enumerate(steps):
        if step.endswith("...}"):
            rest = "/".join(asked[at:])
            return {**found, step[1:-4]: rest} if rest else None
        if at >= len(asked):
            return None
        if step.startswith("{"):
            if not asked[at]:
                return None
            found[step[1:-1]] = asked[at]
        elif step != asked[at]:
            return None
    return found if len(asked) == len(steps) else None


def _near(method: str, raw_path: str) -> list[str]:
    names = [f"{route.method} {route.path}" for route in ROUTES]
    found = process.extract(f"{method} {raw_path[:200]}", names, limit=3, score_cutoff=60)
    return [name for name, _, _ in found]


_SPLIT = [(route, route.path.split("/")[1:]) for route in ROUTES]
