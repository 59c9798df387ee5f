"""The days that teams have lost to keys, each lived through once more and not lost.

The provider runs in this process, so that what it takes can change while the system runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from local.home import Home
from local.scripted.server import Asked, ScriptedProvider
from services.discussion import admission
from shared.ids import fresh
from tests.eventually import eventually
from tests.launched import erase, launched
from tests.systems import Client, RunningSystem, warm_up

PATIENT = timedelta(seconds=60)

OLD = "sk-old0123456789abcdefghijklmnopqrstuvwxyz"
NEW = "sk-new0123456789abcdefghijklmnopqrstuvwxyz"


@asynccontextmanager
async def system(folder: Path, **settings: str) -> AsyncGenerator[Client]:
    """A system of its own, whose Kimi is where the settings say."""
    home = Home(folder / "home")
    wide = {"KIMI_LIMITS": "rpm=60000,tpm=100000000,concurrency=100"}
    try:
        with launched(home, **{**wide, **settings}) as running:
            facts = await running.ready()
            async with aiohttp.ClientSession() as http:
                client = Client(RunningSystem(running, facts, ""), http)

                async def ready() -> bool:
                    try:
                        async with http.get(f"{facts.url}/readyz") as answer:
                            return answer.status == 200
                    except OSError:
                        return False

                await eventually(ready)
                yield client
                running.process.terminate()
                await running.ended()  # while the provider still answers
    finally:
        erase(home)


async def add(client: Client, secret: str, **more: Any) -> dict[str, Any]:
    body = {"provider": "kimi", "secret": secret, **more}
    status, key = await client.ask("POST", "/api/v1/keys", body)
    assert status == 201, key
    return key


async def keys(client: Client) -> dict[str, dict[str, Any]]:
    _, listed = await client.ask("GET", "/api/v1/keys")
    return {key["id"]: key for key in listed["items"]}


async def in_state(client: Client, discussion: str, *states: str) -> dict[str, Any]:
    """The discussion, once it is in one of these states."""

    async def there() -> dict[str, Any] | None:
        found = await client.read(discussion)
        assert found["state"] in states, found
        return found

    found = await eventually(there, within=PATIENT)
    assert found is not None
    return found


def with_key(provider: ScriptedProvider, secret: str, path: str = "") -> list[Asked]:
    """What the provider was asked with this key."""
    name = hashlib.sha256(secret.encode()).hexdigest()[:8]
    return [asked for asked in provider.requests if asked.key == name and path in asked.path]


async def test_a_key_of_the_other_region_is_told_apart_and_found_a_home(tmp_path: Path) -> None:
    async with (
        ScriptedProvider(keys=[OLD]) as ai,
        ScriptedProvider(keys=[NEW]) as cn,
        system(tmp_path, KIMI_BASE_URL=ai.base_url, KIMI_CN_BASE_URL=cn.base_url) as client,
    ):
        wrong = await add(client, NEW)

        assert wrong["state"] == "quarantined"
        assert "another region" in wrong["reason"]
        assert "“cn” (api.moonshot.cn)" in wrong["next_step"]
        assert cn.requests == []  # nobody has allowed to show it there

        right = await add(client, NEW, region="auto")

        assert (right["state"], right["region"]) == ("active", "cn")
        assert right["endpoint"] == cn.base_url
        assert "it belongs to that address" in right["reason"]
        discussion = await eventually(lambda: client.open("[[text: Found.]]"))
        assert (await in_state(client, discussion, "completed"))["turns"][0]["text"] == "Found."
        assert with_key(ai, NEW, "/chat/") == []


async def test_a_key_is_found_where_its_answer_says_and_added_once(tmp_path: Path) -> None:
    async with (
        ScriptedProvider() as provider,
        system(tmp_path, KIMI_BASE_URL=provider.base_url, KIMI_API_KEY=OLD) as client,
    ):
        await warm_up(client.system)
        body: dict[str, Any] = {"provider": "kimi", "secret": NEW, "pool": True}
        headers = {**client.system.headers, "Idempotency-Key": "once"}
        address = f"{client.system.url}/api/v1/keys"
        async with client.http.post(address, json=body, headers=headers) as answer:
            assert answer.status == 201
            location, added = answer.headers["Location"], await answer.json()
        status, found = await client.ask("GET", location)
        assert (status, found) == (200, added)
        assert (found["state"], found["pool"]) == ("active", True)

        again = await client.ask("POST", "/api/v1/keys", body, **{"Idempotency-Key": "once"})
        assert again == (201, added)
        other = body | {"label": "another"}
        status, told = await client.ask(
            "POST", "/api/v1/keys", other, **{"Idempotency-Key": "once"}
        )
        assert (status, bool(told["next_step"])) == (422, True)
        assert sorted(key["state"] for key in (await keys(client)).values()) == ["active"] * 2

        provider.balance = 0
        status, verified = await client.ask("POST", f"{location}/verify")
        assert (status, verified["state"]) == (200, "active")
        assert verified["reason"] == "The account's balance is 0.00 USD."
        assert (await keys(client))[added["id"]]["reason"] == verified["reason"]
        status, _ = await client.ask("GET", f"/api/v1/keys/{fresh()}")
        assert status == 404


async def test_an_old_bad_key_never_lurks_beside_a_new_good_one(tmp_path: Path) -> None:
    async with (
        ScriptedProvider(keys=[OLD]) as provider,
        system(tmp_path, KIMI_BASE_URL=provider.base_url, KIMI_API_KEY=OLD) as client,
    ):
        await warm_up(client.system)
        provider.keys = {NEW}  # the old one was deleted in the console
        new = await add(client, NEW)
        before = len(with_key(provider, OLD))

        states = {key["id"]: key["state"] for key in (await keys(client)).values()}
        assert states.pop(new["id"]) == "active"
        assert set(states.values()) == {"disabled"}
        for number in range(5):
            discussion = await client.open(f"[[text: Answer {number}.]]")
            found = await in_state(client, discussion, "completed")
            assert found["turns"][0]["attempts"] == 1
        assert len(with_key(provider, OLD)) == before

        _, pruned = await client.ask("POST", "/api/v1/keys/prune", {})
        assert {key["id"] for key in pruned["items"]} == set(states)
        assert set(await keys(client)) == {new["id"]}


async def test_a_retired_model_is_refused_with_its_successor_and_a_family_outlives_it(
    tmp_path: Path,
) -> None:
    async with (
        ScriptedProvider(keys=[OLD]) as provider,
        system(tmp_path, KIMI_BASE_URL=provider.base_url, KIMI_API_KEY=OLD) as client,
    ):
        await warm_up(client.system)
        before = len(provider.requests)
        for retired in ("kimi/kimi-k2-0711", "kimi/kimi-k2-0711-preview"):
            body = {"topic": "Tea?", "participants": [{"model": retired}]}
            status, problem = await client.ask("POST", "/api/v1/discussions", body)
            assert (status, problem["type"]) == (422, "urn:parley:problem:retired-model")
            assert problem["successor"] == "kimi/kimi-k2.6"
            assert problem["next_step"] == "Use kimi/kimi-k2.6."

            chat = {"model": retired, "messages": [{"role": "user", "content": "Tea?"}]}
            status, refused = await client.ask("POST", "/v1/chat/completions", chat)
            assert (status, refused["error"]["code"]) == (404, "model_not_found")
            assert "kimi/kimi-k2.6" in refused["error"]["message"]
        assert len(provider.requests) == before  # nothing was asked, so nothing was paid

        turn = await answered_by_the_family(client)
        assert turn["model"] == "kimi/kimi-k2.6"
        assert turn["price"].items() >= {"input": "0.95", "cached": "0.16", "output": "4"}.items()
        assert float(turn["cost"]["amount"]) > 0

        newer = [*provider.models, {"id": "kimi-k2.8-code"}, {"id": "kimi-k2.8"}]
        provider.models = newer
        status, seen = await client.ask("POST", "/api/v1/models/refresh")
        assert (status, {item["models"] for item in seen["items"]} >= {len(newer)}) == (200, True)
        assert (await answered_by_the_family(client))["model"] == "kimi/kimi-k2.8"


async def answered_by_the_family(client: Client) -> dict[str, Any]:
    body = {"topic": "[[text: Tea.]]", "participants": [{"model": "kimi/k2"}]}
    status, opened = await client.ask("POST", "/api/v1/discussions", body)
    assert status == 201, opened
    [turn] = (await in_state(client, opened["id"], "completed"))["turns"]
    return turn


async def test_a_key_rotated_while_ten_discussions_wait_wakes_them_all(tmp_path: Path) -> None:
    async with (
        ScriptedProvider(keys=[OLD], rate=100) as provider,
        system(
            tmp_path,
            KIMI_BASE_URL=provider.base_url,
            KIMI_API_KEY=OLD,
            KIMI_LIMITS="rpm=60,concurrency=2",
        ) as client,
    ):
        await warm_up(client.system)
        (key,) = await keys(client)
        before = [await client.open("[[text: Well, ; stall]]") for _ in range(2)]
        waiting = [await client.open(f"[[text: Answer {number}.]]") for number in range(10)]
        for discussion in waiting:
            await in_state(client, discussion, "waiting")
        provider.keys = {NEW}  # while two answers are still being written with the old one
        for discussion in before:
            await client.ask("POST", f"/api/v1/discussions/{discussion}/cancel")

        async def suspect() -> bool:
            return (await keys(client))[key]["state"] == "suspect"

        await eventually(suspect)

        async def confirmed() -> bool:
            # Asking now is the one confirmation that a key gets which has worked.
            _, refused = await client.ask("POST", f"/api/v1/keys/{key}/verify")
            return refused["state"] == "quarantined"

        await eventually(confirmed)
        for discussion in waiting:
            await in_state(client, discussion, "waiting", "parked")

        path = f"/api/v1/keys/{key}/rotate"

        async def rotate(secret: str) -> tuple[int, Any] | None:
            """Verifying keeps to the limits too: 503 while there is no room, as often as it is."""
            status, answer = await client.ask("POST", path, {"secret": secret})
            return (status, answer) if status != 503 else None

        async def rotated_to(secret: str) -> tuple[int, Any]:
            found = await eventually(lambda: rotate(secret), within=PATIENT)
            assert found is not None
            return found

        status, problem = await rotated_to("sk-wrong-key0123456789abc")
        assert (status, problem["type"]) == (422, "urn:parley:problem:key-not-rotated")
        refusals = len(with_key(provider, OLD))
        status, rotated = await rotated_to(NEW)

        assert (status, rotated["state"]) == (200, "active")
        assert rotated["version"] > 2  # no version is given twice, not even a refused one
        told = await asyncio.gather(
            *(in_state(client, discussion, "completed") for discussion in waiting)
        )
        assert [one["turns"][0]["text"] for one in told] == [f"Answer {n}." for n in range(10)]
        assert len(with_key(provider, OLD)) == refusals
        # One free look at the new secret, one request for each answer, and nothing besides.
        assert len(with_key(provider, NEW, "/models")) == 1
        chats = with_key(provider, NEW, "/chat/")
        assert len(chats) == 10
        # One alone shows that the new secret works; only then come the others.
        assert chats[1].at >= chats[0].at + chats[0].seconds
        # Then ten at the pace that the limit allows, less what an attempt may lose on its way.
        interval, burst = admission.gcra(60)
        assert_oldest_first(chats, told, at_once=burst)
        paced = (10 - burst) * interval.total_seconds() - admission.JITTER
        assert chats[-1].at - chats[0].at >= paced


def assert_oldest_first(chats: list[Asked], told: list[dict[str, Any]], *, at_once: int) -> None:
    """Of those that had never been sent, the oldest go first; `at_once` may set out together."""
    fresh = [n for n, one in enumerate(told) if one["turns"][0]["attempts"] == 1]
    assert len(fresh) >= 5
    for chat in chats:
        (number,) = map(int, re.findall(r"Answer (\d)", chat.body["messages"][-1]["content"]))
        if number in fresh:
            assert number in fresh[:at_once], (number, fresh)
            fresh.remove(number)
