"""Addresses beside the API's own: sessions, OpenAI's door, health, the description, the page."""

from __future__ import annotations

from typing import Any

from services.edge import docs, health, openai, sessions, static
from services.edge.call import Answer, Route
from services.edge.openai_bodies import CompletionBody
from services.edge.openai_words import Completion, ModelCard, ModelCards
from services.edge.routes.who import ANYBODY, API, ASKERS, READERS
from services.edge.session import SessionAnswer


def _open(
    path: str,
    answer: Answer,
    summary: str,
    tag: str,
    gives: Any = None,
    media: str = "application/json",
) -> Route:
    """What anybody may read."""
    return Route(
        method="GET",
        path=path,
        answer=answer,
        roles=ANYBODY,
        summary=summary,
        tag=tag,
        gives=gives,
        media=media,
    )


ROUTES: tuple[Route, ...] = (
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
    _open("/healthz", health.healthz, "Whether this process runs", "health", health.HealthAnswer),
    _open("/readyz", health.readyz, "Whether all services answer", "health", health.ReadyAnswer),
    # For loopback, or an administrator's token: it sees to that itself.
    _open("/metrics", health.metrics, "Numbers for Prometheus", "health", media="text/plain"),
    _open("/openapi.json", docs.description, "This description", "description"),
    _open("/docs", docs.page, "This description, for people", "description", media="text/html"),
    _open("/docs/style.css", docs.style, "How it looks", "description", media="text/css"),
    # --- The web page
    _open("/", static.index, "The web page", "page", media="text/html"),
    _open("/pages/{path...}", static.page_file, "A file of the web page", "page", media="*/*"),
)
