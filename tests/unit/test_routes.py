"""The table of routes: what is open is open on purpose, and nothing else exists."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import NotFound
from contracts.keys import Role
from services.edge import openapi
from services.edge.app import describe
from services.edge.docs import render
from services.edge.matching import match
from services.edge.problems import MethodNotAllowed
from services.edge.routes import ROUTES

OPEN = {
    "POST /api/v1/session",
    "DELETE /api/v1/session",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/style.css",
    "GET /",
    "GET /pages/{path...}",
}


def test_every_route_has_roles_unless_it_is_open_on_purpose() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES if route.roles is None} == OPEN
    assert all(route.roles for route in ROUTES if route.roles is not None)


def test_what_costs_money_or_touches_keys_is_not_for_viewers() -> None:
    for route in ROUTES:
        if route.method == "POST" and route.roles is not None:
            assert Role.VIEWER not in route.roles
        if "/keys" in route.path or "/tokens" in route.path:
            assert route.roles == {Role.OWNER, Role.ADMIN}


def test_the_vault_itself_is_for_owners() -> None:
    (route,) = [route for route in ROUTES if "/vault" in route.path]
    assert route.roles == {Role.OWNER}


def test_no_address_is_in_the_table_twice() -> None:
    names = [(route.method, route.path) for route in ROUTES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("method", "path", "found", "segments"),
    [
        ("GET", "/", "/", {}),
        ("GET", "/api/v1/discussions/x", "/api/v1/discussions/{id}", {"id": "x"}),
        ("GET", "/api/v1/personas/a%20b", "/api/v1/personas/{slug}", {"slug": "a b"}),
        ("GET", "/v1/models/kimi/k2", "/v1/models/{model...}", {"model": "kimi/k2"}),
        ("GET", "/v1/models/kimi%2Fk2", "/v1/models/{model...}", {"model": "kimi/k2"}),
        ("HEAD", "/healthz", "/healthz", {}),
        ("GET", "/pages/views/a.js", "/pages/{path...}", {"path": "views/a.js"}),
    ],
)
def test_a_path_finds_its_line(
    method: str, path: str, found: str, segments: dict[str, str]
) -> None:
    route, stands_for = match(method, path)

    assert (route.path, stands_for) == (found, segments)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/discusions",
        "/api/v1/discussions/",
        "/api/v1/discussions//events",
        "//api/v1/discussions",
        "/api/v1/discussions/x/events/y",
        "/api/v1/../v1/discussions",
        "/API/v1/discussions",
        "/pages/",
        "/etc/passwd",
    ],
)
def test_nothing_is_found_by_nearly(path: str) -> None:
    with pytest.raises(NotFound):
        match("GET", path)


def test_a_missing_address_names_those_that_come_near() -> None:
    with pytest.raises(NotFound) as caught:
        match("POST", "/api/v1/discusions")

    assert "POST /api/v1/discussions" in caught.value.problem.nearest


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        match("PUT", "/api/v1/discussions")

    assert caught.value.headers == {"Allow": "GET, HEAD, POST"}


@given(st.text(max_size=60), st.text(max_size=10))
def test_no_address_breaks_the_router(path: str, method: str) -> None:
    with suppress(NotFound, MethodNotAllowed):
        match(method, "/" + path)


# --- The description --------------------------------------------------------------------------


def test_the_description_has_every_route_and_resolves_every_reference() -> None:
    document = openapi.describe(ROUTES)

    told = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert told == {(route.method, route.path.replace("...", "")) for route in ROUTES}
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    for reference in set(text.split('"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in schemas
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(set(names)) == len(names)


def test_the_page_about_it_brings_everything_along_and_runs_nothing() -> None:
    page = render(json.loads(describe().document))

    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert all(f"<code>{route.path.replace('...', '')}</code>" in page for route in ROUTES)
