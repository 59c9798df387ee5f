"""Who may ask what, what arrives of it, and what the edge says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from shared.sealing import submission_info
from tests.frontdoor import WORKSPACE, Edge


async def test_a_viewer_may_look_but_not_ask(edge: Edge) -> None:
    body = {"topic": "Hello", "participants": [{"model": "kimi/k2"}]}
    status, said = await edge.ask("POST", "/api/v1/discussions", body, token="viewer")

    assert (status, said["type"]) == (403, "urn:parley:problem:forbidden")
    assert edge.behind.opened == []


async def test_what_is_asked_arrives_as_it_was_asked(edge: Edge) -> None:
    body: Mapping[str, Any] = {
        "topic": "Hello",
        "participants": [{"persona": "riley-engstrom"}, {"model": "kimi/k2"}],
        "options": {"temperature": 0.5},
    }
    async with edge.http.post(
        f"{edge.url}/api/v1/discussions",
        json=body,
        headers={"Authorization": "Bearer owner", "Idempotency-Key": "once"},
    ) as answer:
        assert answer.status == 201
        assert answer.headers["Location"].endswith(edge.behind.id)
    [command] = edge.behind.opened

    assert (command.workspace, command.mode, command.by) == (WORKSPACE, "parallel", "owner")
    assert [(who.persona, who.model) for who in command.participants] == [
        ("riley-engstrom", None),
        (None, "kimi/k2"),
    ]
    assert command.parameters is not None
    assert command.parameters.temperature == 0.5
    assert (command.idempotency_key, len(command.body_hmac)) == ("once", 32)


async def test_a_secret_is_sealed_for_the_vault_alone(edge: Edge) -> None:
    body = {"provider": "kimi", "secret": " sk-canary-123 "}
    status, said = await edge.ask("POST", "/api/v1/keys", body)
    [command] = edge.behind.added

    assert (status, "canary" in json.dumps(said)) == (201, False)
    assert b"canary" not in msgspec.json.encode(command)
    info = submission_info(workspace=WORKSPACE, request=command.request, provider="kimi")
    assert edge.behind.key.open(command.sealed_secret, info) == b"sk-canary-123"


async def test_ready_means_all_five(edge: Edge) -> None:
    status, said = await edge.ask("GET", "/readyz")

    assert status == 503
    assert said["services"] == {
        "key_vault": "ready",
        "provider_adapter": "silent",
        "discussion": "ready",
        "persona": "silent",
        "edge": "ready",
    }
    away, problem = await edge.ask("GET", "/api/v1/personas")
    assert (away, problem["type"]) == (503, "urn:parley:problem:unavailable")


@pytest.mark.parametrize(
    ("method", "path", "body", "token"),
    [
        ("GET", "/v1/models", None, "nobody"),
        ("GET", "/v1/nothing", None, "owner"),
        ("DELETE", "/v1/models", None, "owner"),
        ("POST", "/v1/chat/completions", {"model": "kimi/kimi-k2.6"}, "owner"),
        ("POST", "/v1/chat/completions", ["not", "an", "object"], "owner"),
        ("POST", "/v1/chat/completions", {"model": "panel/debate", "messages": []}, "owner"),
    ],
)
async def test_every_error_of_the_openai_door_tells_clients_not_to_try_again(
    edge: Edge, method: str, path: str, body: object, token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with edge.http.request(method, edge.url + path, json=body, headers=headers) as answer:
        assert 400 <= answer.status < 500
        assert answer.headers["x-should-retry"] == "false"
