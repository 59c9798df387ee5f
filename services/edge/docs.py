"""The description of the HTTP interface for people: one page, with nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from contracts.failures import Refused, TimedOut, Unreachable
from services.edge import endpoints, openapi
from services.edge.call import Call
from services.edge.static import File, send

STYLE = Path(__file__).with_name("docs.css")

HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley: the HTTP interface</title>
<link rel="stylesheet" href="/docs/style.css"></head><body><main>
<h1>The HTTP interface</h1>
<p>Send <code>Authorization: Bearer &lt;token&gt;</code>. Refusals are
<code>application/problem+json</code> with what to do next. The same for programs:
<a href="/openapi.json">/openapi.json</a>.</p>
"""


async def description(call: Call) -> web.StreamResponse:
    """The description, as JSON. Whoever is signed in reads of the workspace's endpoints too."""
    document = call.tools.description.document
    if names := await _endpoints(call):
        document = with_endpoints(document, names)
    return send(call.request, File.of(document, "application/json"))


async def _endpoints(call: Call) -> list[str]:
    """Names of endpoints that the reader may know of; a stranger reads of none."""
    try:
        identity = await call.tools.doorkeeper.identify(call.request)
        found = await endpoints.of_workspace(call, identity.workspace)
    except (Refused, Unreachable, TimedOut):
        return []
    return [each.name for each in found.items if each.needs_key]


def with_endpoints(document: bytes, names: list[str]) -> bytes:
    """The description with these as providers that a key may be of."""
    described = msgspec.json.decode(document)
    openapi.name_providers(described, names)
    return msgspec.json.encode(described)


async def page(call: Call) -> web.StreamResponse:
    """The description, as a page."""
    return send(call.request, File.of(call.tools.description.page, "text/html; charset=utf-8"))


async def style(call: Call) -> web.StreamResponse:
    """How the page looks."""
    return send(call.request, File.of(STYLE.read_bytes(), "text/css; charset=utf-8"))


# --- The page ---------------------------------------------------------------------------------


def render(document: Mapping[str, Any]) -> str:
    """The whole page."""
    schemas = document["components"]["schemas"]
    return "".join(
        (
            HEAD,
            *_contents(document),
            *_operations(document),
            "<h2>Types</h2>",
            *(_type(name, schema) for name, schema in schemas.items()),
            "</main></body></html>",
        )
    )


def _contents(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<nav><ul>"
    for path, method, _ in _each(document):
        link = f"{method} <code>{escape(path)}</code>"
        yield f'<li><a href="#{_anchor(method, path)}">{link}</a></li>'
    yield "</ul></nav>"


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'].capitalize())}</h2>"
        for path, method, operation in _each(document):
            if tag["name"] in operation["tags"]:
                yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{_anchor(method, path)}"><h3>{method} <code>{escape(path)}</code></h3>'
    yield f"<p>{escape(operation['summary'])}.</p>"
    if told := operation.get("description"):
        yield f"<p>{escape(told)}</p>"
    roles = operation.get("x-roles")
    yield f"<p>Who: {', '.join(roles) if roles else 'anybody'}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>Parameter</th><th>In</th><th>Type</th></tr>"
        for one in parameters:
            kind = _kind(one["schema"])
            yield f"<tr><td><code>{one['name']}</code></td><td>{one['in']}</td><td>{kind}</td></tr>"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield f"<p>Body: {_kind(body['content']['application/json']['schema'])}</p>"
    for status, response in operation["responses"].items():
        kinds = [
            f"{escape(media)} {_kind(content['schema']) if 'schema' in content else ''}"
            for media, content in response.get("content", {}).items()
        ]
        yield f"<p>{status}: {', '.join(kinds) or escape(response['description'])}</p>"
    yield "</section>"


def _type(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_kind(about)}</td>"
        f"<td>{'yes' if field in schema.get('required', []) else ''}</td>"
        f"<td>{escape(about.get('description', ''))}</td></tr>"
        for field, about in schema.get("properties", {}).items()
    )
    told = escape(schema.get("description", ""))
    values = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", []))
    table = (
        f"<table><tr><th>Field</th><th>Type</th><th>Needed</th><th></th></tr>{rows}</table>"
        if rows
        else ""
    )
    return f'<section id="type-{name}"><h3>{name}</h3><p>{told} {values}</p>{table}</section>'


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#type-{name}">{name}</a>'
    if either := schema.get("anyOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(_kind(one) for one in either))
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "anything"))


def _each(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}")
