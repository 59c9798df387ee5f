"""An endpoint of a team's own is a provider like any other, everywhere and without a restart."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from local.scripted.server import ScriptedProvider
from tests.acceptance.test_command import parley
from tests.acceptance.test_lost_days import in_state, system
from tests.eventually import eventually
from tests.systems import Client

KEY = "sk-acme0123456789abcdefghijklmnopqrstuvwx"
ENDPOINTS = "/api/v1/endpoints"


@pytest_asyncio.fixture
async def lab() -> AsyncGenerator[ScriptedProvider]:
    async with ScriptedProvider(keys=[KEY]) as provider:
        yield provider


async def named(client: Client, path: str) -> set[str]:
    _, found = await client.ask("GET", path)
    return {each.get("id") or each["name"] for each in found.get("items", found.get("data"))}


async def providers_of_keys(client: Client, **headers: str) -> list[str]:
    """What the description says may stand in `provider` of a new key."""
    async with client.http.get(f"{client.system.url}/openapi.json", headers=headers) as answer:
        document = await answer.json()
    return document["components"]["schemas"]["KeyBody"]["properties"]["provider"]["anyOf"][0][
        "enum"
    ]


async def test_the_operators_endpoint_answers_through_its_name(
    tmp_path: Path, lab: ScriptedProvider
) -> None:
    async with system(
        tmp_path,
        KIMI_BASE_URL=lab.base_url,
        PARLEY_ENDPOINTS="acme,my-lab",
        ACME_BASE_URL=lab.base_url,
        ACME_TITLE="Acme",
        ACME_LIMITS="rpm=60000,concurrency=50",
        MY_LAB_BASE_URL=lab.base_url,
        MY_LAB_API_KEY=KEY,
    ) as client:
        status, key = await client.ask("POST", "/api/v1/keys", {"provider": "acme", "secret": KEY})
        assert (status, key["state"], key["endpoint"]) == (201, "active", lab.base_url)

        async def everywhere() -> bool:
            ids = await named(client, "/api/v1/models") & await named(client, "/v1/models")
            return {"acme/kimi-k2.6", "my-lab/kimi-k2.6"} <= ids

        # A key of the environment is verified when all services are there.
        await eventually(everywhere, within=timedelta(seconds=30))
        who = [{"model": "acme/kimi-k2.6"}]
        _, opened = await client.ask(
            "POST", "/api/v1/discussions", {"topic": "[[text: From Acme.]]", "participants": who}
        )
        discussion = opened["id"]
        found = await in_state(client, discussion, "completed")
        assert found["turns"][0]["text"] == "From Acme."
        assert lab.requests[-1].body["max_tokens"]  # as the most of those that are compatible do

        _, shown = await client.ask("GET", "/api/v1/providers")
        (acme,) = (each for each in shown["items"] if each["name"] == "acme")
        assert (acme["title"], acme["available"]) == ("Acme", True)
        assert acme["regions"] == [{"name": "own", "endpoint": lab.base_url}]
        assert acme["limits"] == {"rpm": 60000, "concurrency": 50}

        # It is the operator's: nobody changes it from inside.
        status, refused = await client.ask("DELETE", f"{ENDPOINTS}/acme")
        assert (status, refused["type"]) == (409, "urn:parley:problem:endpoint-configured")


async def test_an_admins_endpoint_is_everywhere_at_once_and_gone_as_fast(
    tmp_path: Path, lab: ScriptedProvider
) -> None:
    async with system(tmp_path, KIMI_BASE_URL=lab.base_url, KIMI_API_KEY=KEY) as client:
        wanted = {"name": "acme", "base_url": "https://LLM.acme.example/v1/", "title": "Acme"}
        status, made = await client.ask("POST", ENDPOINTS, wanted)
        assert (status, made["base_url"]) == (201, "https://llm.acme.example/v1")
        assert "acme" in await named(client, ENDPOINTS)

        assert "acme" in await named(client, "/api/v1/providers")
        assert "acme" in await providers_of_keys(client, **client.system.headers)
        # A stranger reads of what everybody has.
        strangers = await providers_of_keys(client)
        assert "kimi" in strangers
        assert "acme" not in strangers

        # The name is nobody's, so nothing answers there; the key is kept, and says why it waits.
        status, key = await client.ask("POST", "/api/v1/keys", {"provider": "acme", "secret": KEY})
        assert (status, key["state"], key["endpoint"]) == (201, "pending", made["base_url"])
        assert "llm.acme.example" in key["reason"]
        status, refused = await client.ask(
            "POST", "/api/v1/keys", {"provider": "acmee", "secret": KEY}
        )
        assert (status, refused["nearest"]) == (422, ["acme"])

        status, moved = await client.ask(
            "PUT", f"{ENDPOINTS}/acme", {"base_url": "https://llm.elsewhere.example/v1"}
        )
        assert status == 200
        assert "do not follow" in moved["reason"]
        _, listed = await client.ask("GET", "/api/v1/keys")
        aside = next(each for each in listed["items"] if each["id"] == key["id"])
        assert (aside["state"], aside["endpoint"]) == ("quarantined", made["base_url"])

        status, _ = await client.ask("DELETE", f"{ENDPOINTS}/acme")
        assert status == 204

        assert "acme" not in await named(client, "/api/v1/providers")
        status, refused = await client.ask("DELETE", f"{ENDPOINTS}/acme")
        assert status == 404

        async def unknown() -> bool:
            body = {"topic": "Tea?", "participants": [{"model": "acme/big"}]}
            status, refused = await client.ask("POST", "/api/v1/discussions", body)
            assert status == 422
            return refused["type"] == "urn:parley:problem:unknown-provider"

        await eventually(unknown)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://169.254.169.254/",
        "https://169.254.169.254/",
        "http://[::ffff:127.0.0.1]/",
        "https://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://user:pw@api.moonshot.ai/",
        "file:///etc/passwd",
        "gopher://evil.example/",
        "https://api.moonshot.ai.evil.tld",
        "https://api.moonshot.ai#@evil",
        "https://llm.acme.example:22/v1",
        "https://llm.acme.example:65536/v1",
        "https://аpi.moonshot.ai/v1",
        "https://localhost/v1",
        "https://" + "a" * 400,
        "\r\nX: y",
        "",
    ],
)
async def test_a_bad_address_is_refused_with_the_rule_and_what_to_do(
    client: Client, base_url: str
) -> None:
    status, refused = await client.ask("POST", ENDPOINTS, {"name": "evil", "base_url": base_url})

    assert status == 422
    assert refused["errors"][0]["field"] == "base_url"
    assert refused["next_step"]
    assert "evil" not in await named(client, ENDPOINTS)


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"name": "kimi"}, 409, None),
        ({"name": "persona"}, 409, None),
        ({"name": "kimi-cn"}, 409, None),
        ({"name": "Acme"}, 422, "name"),
        ({"name": "a"}, 422, "name"),
        ({"name": "a.*.>"}, 422, "name"),
        ({"dialect": "latin"}, 422, "dialect"),
        ({"reasoning": "loud"}, 422, "reasoning"),
        ({"limits": {"rpm": 0}}, 422, "limits.rpm"),
        ({"limits": {"rps": 1}}, 422, "limits"),
        ({"needs_key": "no"}, 422, "needs_key"),
        ({"title": "a\nb"}, 422, "title"),
        ({"token_limit_field": "x"}, 422, "token_limit_field"),
        ({"adress": "x"}, 422, "body"),
    ],
)
async def test_anything_else_that_is_wrong_is_named(
    client: Client, changes: dict[str, Any], status: int, field: str | None
) -> None:
    body = {"name": "evil", "base_url": "https://llm.acme.example/v1", **changes}

    got, refused = await client.ask("POST", ENDPOINTS, body)

    assert (got, refused["errors"][0]["field"] if field else None) == (status, field)
    assert refused["next_step"]


async def test_who_may_read_may_not_change(client: Client) -> None:
    _, viewer = await client.ask("POST", "/api/v1/tokens", {"role": "viewer"})
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {viewer['token']}"}
    ) as http:
        url = client.system.url + ENDPOINTS
        async with http.get(url) as answer:
            assert answer.status == 200
        body = {"name": "evil", "base_url": "https://llm.acme.example/v1"}
        async with http.post(url, json=body) as answer:
            assert answer.status == 403
        async with http.delete(f"{url}/evil") as answer:
            assert answer.status == 403


async def test_the_command_does_it_too(client: Client) -> None:
    system = client.system
    added = await parley(
        system, "endpoints", "add", "team-llm", "https://llm.acme.example/v1",
        "--title", "Team", "--limit", "rpm=100", "--limit", "concurrency=2",
    )  # fmt: skip
    assert added.status == 0, added.remarks
    listed = await parley(system, "endpoints", "list")
    assert "team-llm" in listed.said
    assert "https://llm.acme.example/v1" in listed.said
    refused = await parley(system, "endpoints", "add", "evil", "http://10.0.0.1")
    assert refused.status == 1
    assert "must be https" in refused.remarks
    changed = await parley(
        system, "endpoints", "change", "team-llm", "https://llm.elsewhere.example/v1"
    )
    assert "https://llm.elsewhere.example/v1" in changed.said
    assert (await parley(system, "endpoints", "remove", "team-llm")).status == 0
    assert "team-llm" not in await named(client, ENDPOINTS)
