"""The description of the HTTP interface (OpenAPI 3.1), made of the table of routes.

Bodies are described by the models that check them, answers by the types that are encoded, so the
description cannot promise what the code does not do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pydantic
from pydantic.json_schema import models_json_schema

from services.edge.call import Route

TITLE = "Parley"
VERSION = "1"
_REF = "#/components/schemas/{name}"
_STEP = re.compile(r"\{(\w+)(?:\.\.\.)?\}")

NAMING_A_PROVIDER = frozenset({"KeyBody"})
"""Bodies with a field for a provider that takes keys."""

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A refusal (RFC 9457): what is wrong, and what to do about it.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "description": "Stable: urn:parley:problem:<slug>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "next_step": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "nearest": {"type": "array", "items": {"type": "string"}},
        "successor": {"type": "string"},
        "incident": {"type": "string"},
        "retry_after": {"type": "number"},
        "figures": {
            "type": "object",
            "description": "Amounts that it is about, e.g. needs and left of a budget.",
            "additionalProperties": {"type": "string"},
        },
    },
}

OPENAI_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "A refusal in OpenAI's shape.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}

STREAM = """Server-sent events. Each fact of the discussion comes once and in order, with its
version as `id` and its name as `event`; send the last id back as Last-Event-ID to go on from there.
Between them comes live text: `StreamChunk` (no id; `offset` counts Unicode code points of the
attempt and kind) and, on connecting, `TurnText` for each turn that is running: all its text so far.
`event: resync` says that the id you came with is unknown and everything follows from the start.
`event: end` is the last; after it the same request answers 204.
Where several are followed together, `event: discussion` says of which one the next ones are,
`event: missing` that there is none; the id to come back with comes alone, in the form of `follow`.
"""


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole description."""
    schemas = {"Problem": PROBLEM, "OpenAIError": OPENAI_ERROR} | _bodies(routes) | _answers(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        address = _STEP.sub(r"{\1}", route.path)
        paths.setdefault(address, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "summary": "Personas discuss, over many language model providers.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "parley_session"},
            },
        },
    }


def name_providers(document: dict[str, Any], names: Sequence[str]) -> None:
    """Say, wherever a provider with keys is to be named, that these are such providers too."""
    for body in NAMING_A_PROVIDER:
        built_in, _ = document["components"]["schemas"][body]["properties"]["provider"]["anyOf"]
        built_in["enum"] = [*built_in["enum"], *names]


def _operation(route: Route) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": f"{route.answer.__module__.rpartition('.')[2]}_{route.answer.__name__}",
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _responses(route),
    }
    if route.media == "text/event-stream":
        said["description"] = STREAM
    if parameters := list(_parameters(route)):
        said["parameters"] = parameters
    if route.body is not None:
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(route.body.__name__)}},
        }
    if route.roles is None:
        said["security"] = []
    else:
        said["x-roles"] = sorted(role.value for role in route.roles)
    return said


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.summary}
    if route.status != 204:
        schema = {} if route.gives is None else {"schema": _reference(route.gives.__name__)}
        good["content"] = {route.media: schema}
    refused = {"application/problem+json": {"schema": _reference("Problem")}}
    if route.path.startswith("/v1/"):
        refused = {"application/json": {"schema": _reference("OpenAIError")}}
    problem = {"description": "Why not, and what to do", "content": refused}
    found = {str(route.status): good, "4XX": problem, "5XX": problem}
    if route.media == "text/event-stream":
        found["204"] = {"description": "Ended, and you have seen all of it"}
    return found


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in _STEP.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if route.query is not None:
        schema = route.query.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, about in schema["properties"].items():
            yield {"name": name, "in": "query", "schema": about}
    if route.media == "text/event-stream":
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": {"type": "string"},
            "description": "Version of the last fact seen",
        }
    if route.idempotent:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "maxLength": 255},
            "description": "The same key and body again: done once, answered alike",
        }


def _bodies(routes: Sequence[Route]) -> dict[str, Any]:
    models: list[type[pydantic.BaseModel]] = [
        model for route in routes for model in (route.body, route.query) if model is not None
    ]
    _, whole = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    return dict(whole["$defs"])


def _answers(routes: Sequence[Route]) -> dict[str, Any]:
    kinds = [kind for kind in dict.fromkeys(route.gives for route in routes) if kind is not None]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    return schemas


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}
