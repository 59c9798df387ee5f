"""Addresses beside the API's own: sessions, OpenAI's door, health, the description, the page."""

from __future__ import annotations

from services.edge import docs, health, openai, sessions, static
from services.edge.call import Route
from services.edge.openai_bodies import CompletionBody
from services.edge.openai_words import Completion, ModelCard, ModelCards
from services.edge.routes.who import ANYBODY, API, ASKERS, READERS
from services.edge.session import SessionAnswer

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
