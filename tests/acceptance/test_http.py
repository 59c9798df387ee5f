"""Parley over HTTP as a person with curl meets it."""

from __future__ import annotations

import asyncio
import json
from http.cookies import SimpleCookie

import aiohttp
import pytest

from contracts.subjects import SERVICES
from tests.eventually import eventually
from tests.systems import Client

RILEY = {"persona": "riley-engstrom"}
MORGAN = {"persona": "morgan-castellano"}


async def test_a_question_is_answered_side_by_side(client: Client) -> None:
    body = {"topic": "[[text: One answer.]]", "participants": [RILEY, MORGAN]}
    status, opened = await client.ask("POST", "/api/v1/discussions", body)
    assert status == 201

    async def finished() -> dict[str, object] | None:
        view = await client.read(opened["id"])
        return view if view["state"] == "completed" else None

    view = await eventually(finished)

    assert view is not None
    assert (view["mode"], view["topic"]) == ("parallel", body["topic"])
    turns = (await client.read(opened["id"]))["turns"]
    assert [turn["persona"] for turn in turns] == ["riley-engstrom", "morgan-castellano"]
    for turn in turns:
        assert turn["text"] == "One answer."
        assert turn["state"] == "completed"
        assert turn["attempts"] == 1
        assert turn["model"].startswith("kimi/")
        assert turn["usage"]["status"] in {"measured", "estimated"}
        assert float(turn["cost"]["amount"]) > 0
        assert "failure" not in turn


async def test_a_failed_turn_says_why_and_what_to_do(client: Client) -> None:
    discussion = await client.open("[[like: filtered]]")
    reader = client.system.reader(discussion)
    await reader.follow(client.http)
    view = await client.read(discussion)

    assert reader.ended == {"state": "failed"}
    assert view["state"] == "failed"
    failure = view["turns"][0]["failure"]
    assert failure["class"] == "request"
    assert failure["next_step"]
    assert failure["retryable"] is False


async def test_what_a_model_does_not_take_is_left_out_and_said(client: Client) -> None:
    discussion = await client.open("[[text: Warm.]]", options={"temperature": 0.2})
    reader = client.system.reader(discussion)
    await reader.follow(client.http)
    view = await client.read(discussion)

    assert reader.ended == {"state": "completed"}
    model = view["turns"][0]["model"].removeprefix("kimi/")
    note = f"temperature was left out: {model} takes only its own."
    assert view["turns"][0]["notes"] == [note]


async def test_discussions_are_listed_a_page_at_a_time(client: Client) -> None:
    opened = [await client.open(f"[[text: Page {at}.]]") for at in range(3)]
    seen: list[str] = []
    cursor = ""
    while len(seen) < 3:
        _, page = await client.ask("GET", f"/api/v1/discussions?limit=1&cursor={cursor}")
        assert len(page["items"]) == 1
        assert {"id", "title", "state"} <= page["items"][0].keys()
        seen.append(page["items"][0]["id"])
        cursor = page.get("next_cursor", "")

    assert seen == list(reversed(opened))


async def test_the_same_request_with_the_same_key_is_done_once(client: Client) -> None:
    body = {"topic": "[[text: Once.]]", "participants": [RILEY]}
    key = {"Idempotency-Key": "acceptance-once"}
    answers = await asyncio.gather(
        *(client.ask("POST", "/api/v1/discussions", body, **key) for _ in range(3))
    )
    other, problem = await client.ask(
        "POST", "/api/v1/discussions", {**body, "topic": "Another"}, **key
    )

    assert {status for status, _ in answers} == {201}
    assert len({opened["id"] for _, opened in answers}) == 1
    assert (other, problem["type"]) == (422, "urn:parley:problem:idempotency-mismatch")


async def test_personas_models_providers_and_keys_can_be_read(client: Client) -> None:
    _, personas = await client.ask("GET", "/api/v1/personas")
    _, riley = await client.ask("GET", "/api/v1/personas/riley-engstrom")
    status, refreshed = await client.ask("POST", "/api/v1/models/refresh")
    lists = {item["provider"]: item for item in refreshed["items"]}
    assert (status, lists["kimi"]["models"] > 1) == (200, True)
    _, models = await client.ask("GET", "/api/v1/models")
    _, providers = await client.ask("GET", "/api/v1/providers")
    _, keys = await client.ask("GET", "/api/v1/keys")

    assert len(personas["items"]) >= 6
    assert riley["name"] == "Riley Engstrom"
    assert all(model["id"].startswith(f"{model['provider']}/") for model in models["items"])
    assert {provider["name"] for provider in providers["items"]} >= {"kimi", "local"}
    assert {"id", "state", "endpoint", "fingerprint"} <= keys["items"][0].keys()


async def test_a_refused_key_says_what_is_wrong_and_takes_no_good_ones_place(
    client: Client,
) -> None:
    status, key = await client.ask(
        "POST", "/api/v1/keys", {"provider": "kimi", "secret": "sk-wrong-key0123456789abcdef"}
    )
    _, keys = await client.ask("GET", "/api/v1/keys")
    again, verified = await client.ask("POST", f"/api/v1/keys/{key['id']}/verify")

    assert (status, key["state"]) == (201, "quarantined")
    assert key["reason"]
    assert key["next_step"]
    assert "active" in {one["state"] for one in keys["items"]}
    assert "0123456789abcdef" not in json.dumps(keys)
    assert (again, verified["state"]) == (200, "quarantined")


async def test_health_needs_no_token(client: Client) -> None:
    async with client.http.get(f"{client.system.url}/healthz") as answer:
        assert answer.status == 200
    async with client.http.get(f"{client.system.url}/readyz") as answer:
        assert (answer.status, set((await answer.json())["services"])) == (200, set(SERVICES))
    async with client.http.get(f"{client.system.url}/metrics") as answer:
        assert "parley_edge_requests_total" in await answer.text()


async def test_the_page_and_the_description_run_nothing_from_elsewhere(client: Client) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/docs/style.css", "text/css"),
        ("/pages/app.js", "text/javascript"),
        ("/openapi.json", "application/json"),
    ):
        async with client.http.get(client.system.url + path) as answer:
            assert (answer.status, answer.content_type) == (200, kind), path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
            tag = answer.headers["ETag"]
        async with client.http.get(
            client.system.url + path, headers={"If-None-Match": tag}
        ) as answer:
            assert answer.status == 304


async def test_a_browser_session_stands_for_the_token(client: Client) -> None:
    url, host = client.system.url, client.system.url.removeprefix("http://")
    status, who = await client.ask("POST", "/api/v1/session", Origin=url)
    assert (status, who["role"]) == (201, "owner")
    async with client.http.post(f"{url}/api/v1/session", headers=client.system.headers) as answer:
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["parley_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert client.system.token not in cookie.value

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        session = {"Cookie": f"parley_session={cookie.value}"}

        async def answered(method: str, path: str, **headers: str) -> int:
            async with browser.request(method, url + path, headers=session | headers) as answer:
                return answer.status

        assert await answered("GET", "/api/v1/session") == 200
        cancel = "/api/v1/discussions/01a00000-0000-7000-8000-000000000000/cancel"
        assert await answered("POST", cancel, Origin=url) == 404
        assert await answered("POST", cancel, **{"Sec-Fetch-Site": "same-origin"}) == 404
        assert await answered("POST", cancel) == 403
        assert await answered("POST", cancel, Origin="https://evil.example") == 403
        assert await answered("POST", cancel, Origin="null") == 403
        assert await answered("POST", cancel, Origin=f"http://evil-{host}") == 403
        session["Cookie"] = f"parley_session={cookie.value[:-4]}AAA="
        assert await answered("GET", "/api/v1/session") == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1@evil", "localhost.", "a b"])
async def test_a_strangers_name_is_not_served(client: Client, host: str) -> None:
    async with client.http.get(f"{client.system.url}/healthz", headers={"Host": host}) as answer:
        assert answer.status == 421
