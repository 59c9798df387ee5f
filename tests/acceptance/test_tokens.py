"""Access tokens: what each role may, by the table of routes; and what became of a token."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.keys import Role
from services.edge.routes import ROUTES
from tests.acceptance.test_command import parley
from tests.eventually import eventually
from tests.systems import Client, RunningSystem

ANY = "0197c3f0-0000-7000-8000-000000000000"


async def issue(client: Client, role: str, **more: Any) -> dict[str, Any]:
    status, issued = await client.ask("POST", "/api/v1/tokens", {"role": role, **more})
    assert status == 201, issued
    return issued


async def as_(client: Client, token: str, method: str, path: str, body: object = None) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with client.http.request(
        method, client.system.url + path, json=body, headers=headers
    ) as answer:
        return answer.status


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_what_the_table_says_and_nothing_else(client: Client, role: Role) -> None:
    issued = await issue(client, role)
    for route in ROUTES:
        if route.roles is None:
            continue
        path = (
            route.path.replace("{id}", ANY).replace("{slug}", "nobody").replace("{name}", "nobody")
        )
        path = path.replace("{model...}", "nobody/nothing")
        assert await as_(client, "parley_unknown", route.method, path) == 401
        status = await as_(client, issued["token"], route.method, path)
        assert (status == 403) == (role not in route.roles), f"{role}: {route.method} {path}"
    status, _ = await client.ask("DELETE", f"/api/v1/tokens/{issued['id']}")
    assert status == 204


async def test_a_revoked_token_opens_nothing_any_more(client: Client) -> None:
    issued = await issue(client, "viewer", label="Ada's phone")
    assert await as_(client, issued["token"], "GET", "/api/v1/discussions") == 200
    status, _ = await client.ask("DELETE", f"/api/v1/tokens/{issued['id']}")
    assert status == 204

    async def shut() -> bool:
        return await as_(client, issued["token"], "GET", "/api/v1/discussions") == 401

    await eventually(shut, within=timedelta(seconds=5))
    _, listed = await client.ask("GET", "/api/v1/tokens")
    (token,) = [one for one in listed["items"] if one["id"] == issued["id"]]
    assert (token["state"], token["label"]) == ("revoked", "Ada's phone")
    assert issued["token"] not in str(listed)


async def test_a_token_ends_when_it_was_said_to(client: Client) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    issued = await issue(client, "viewer", expires_at=soon.isoformat())
    assert await as_(client, issued["token"], "GET", "/api/v1/discussions") == 200

    async def over() -> bool:
        return await as_(client, issued["token"], "GET", "/api/v1/discussions") == 401

    await eventually(over, within=timedelta(seconds=5))


@pytest.mark.parametrize(
    "body",
    [
        {"role": "emperor"},
        {},
        {"role": "viewer", "expires_at": "2020-01-01T00:00:00Z"},
        {"role": "viewer", "expires_at": "2030-01-01T00:00:00"},
        {"role": "viewer", "label": "x" * 101},
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(client: Client, body: object) -> None:
    status, problem = await client.ask("POST", "/api/v1/tokens", body)
    assert (status, bool(problem["next_step"])) == (422, True)


async def test_an_admin_makes_no_owners_and_the_last_owner_stays(client: Client) -> None:
    admin = await issue(client, "admin")
    _, session = await client.ask("GET", "/api/v1/session")
    owner = f"/api/v1/tokens/{session['token']}"
    made = await as_(client, admin["token"], "POST", "/api/v1/tokens", {"role": "owner"})
    taken = await as_(client, admin["token"], "DELETE", owner)
    status, problem = await client.ask("DELETE", owner)
    await client.ask("DELETE", f"/api/v1/tokens/{admin['id']}")

    assert (made, taken) == (403, 403)
    assert (status, problem["type"]) == (409, "urn:parley:problem:last-owner")


async def test_tokens_from_the_command_line(running_system: RunningSystem, client: Client) -> None:
    issued = await parley(running_system, "tokens", "issue", "member", "--label", "Bo", "--days=1")
    assert issued.status == 0, issued.remarks
    token = issued.said.strip()
    assert await as_(client, token, "GET", "/api/v1/discussions") == 200

    listed = await parley(running_system, "tokens", "list")
    (line,) = [line for line in listed.said.splitlines() if "Bo" in line]
    assert token not in listed.said
    revoked = await parley(running_system, "tokens", "revoke", line.split()[0])
    assert revoked.status == 0, revoked.remarks


async def test_keys_from_the_command_line(running_system: RunningSystem) -> None:
    """On a key that its provider refuses, beside the good one, which nothing here may touch."""
    added = await parley(
        running_system,
        "keys",
        "add",
        "kimi",
        "--label",
        "Cy",
        typed="sk-wrong-key-of-Cy0123456789\n",
    )
    assert added.status == 1
    assert "refused the key" in added.remarks
    (line,) = [line for line in added.said.splitlines() if "Cy" in line]
    key = line.split()[0]

    rotated = await parley(
        running_system, "keys", "rotate", key, typed="sk-wrong-key-again0123456789\n"
    )
    assert rotated.status == 1
    assert "The former secret stays in use." in rotated.remarks
    disabled = await parley(running_system, "keys", "disable", key)
    enabled = await parley(running_system, "keys", "enable", key)
    revoked = await parley(running_system, "keys", "revoke", key)
    pruned = await parley(running_system, "keys", "prune", "kimi")
    listed, again = await asyncio.gather(
        parley(running_system, "keys", "list"), parley(running_system, "keys", "revoke", key)
    )

    assert (disabled.status, enabled.status, revoked.status, pruned.status) == (0, 1, 0, 0)
    assert key in pruned.said
    assert key not in listed.said
    assert "active" in listed.said
    assert (again.status, "no such key" in again.remarks) == (1, True)
