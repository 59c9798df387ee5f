"""Discussions over HTTP afterwards: renamed, found by their words, exported, deleted for good."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import openai
import pytest

from shared.ids import fresh
from tests.eventually import eventually
from tests.systems import Client

DISCUSSIONS = "/api/v1/discussions"


async def answered(client: Client, text: str, *personas: str) -> str:
    """A discussion that has ended, whose answer was `text`."""
    discussion = await client.open(f"[[text: {text}]]", *personas)
    reader = client.system.reader(discussion)
    while reader.ended is None:
        await reader.follow(client.http)
    return discussion


async def found(client: Client, q: str) -> list[str]:
    async with client.http.get(
        f"{client.system.url}{DISCUSSIONS}", params={"q": q}, headers=client.system.headers
    ) as answer:
        return [line["id"] for line in (await answer.json())["items"]]


async def test_a_deleted_discussion_is_gone_and_says_so(client: Client) -> None:
    word = fresh()
    discussion = await answered(client, f"It was {word}.")
    path = f"{DISCUSSIONS}/{discussion}"
    assert await found(client, word) == [discussion]

    gone = [(await client.ask("DELETE", path))[0] for _ in range(2)]

    assert gone == [204, 204]
    assert await found(client, word) == []
    for method, more, body in [
        ("GET", "", None),
        ("GET", "/export", None),
        ("GET", "/events", None),
        ("PATCH", "", {"title": "Again"}),
        ("POST", "/cancel", None),
    ]:
        status, problem = await client.ask(method, path + more, body)
        assert (status, problem["type"]) == (410, "urn:parley:problem:discussion-deleted"), more
        assert problem["next_step"]
    for id in (fresh(), "nonsense"):
        status, problem = await client.ask("DELETE", f"{DISCUSSIONS}/{id}")
        assert status == 404, problem


async def test_what_runs_is_cancelled_and_deleted_and_its_viewers_are_told(
    client: Client,
) -> None:
    discussion = await client.open("[[rate: 20 ; many: 2000]]")
    reader = client.system.reader(discussion)
    following = asyncio.create_task(reader.follow(client.http))

    async def speaks() -> bool:
        return "AttemptStarted" in reader.names()

    await eventually(speaks)
    status, _ = await client.ask("DELETE", f"{DISCUSSIONS}/{discussion}")
    await following

    assert status == 204
    assert reader.ended == {"state": "cancelled"}
    missing, _ = await client.ask("GET", f"{DISCUSSIONS}/{discussion}")
    assert missing == 410


async def test_a_discussion_gets_another_title(client: Client) -> None:
    discussion = await answered(client, "Yes.")
    word = fresh()
    status, view = await client.ask(
        "PATCH", f"{DISCUSSIONS}/{discussion}", {"title": f"About {word}"}
    )
    assert (status, view["title"], view["state"]) == (200, f"About {word}", "completed")
    assert await found(client, word) == [discussion]
    for title in ("", " ", "two\nlines", "x" * 201, None):
        status, problem = await client.ask("PATCH", f"{DISCUSSIONS}/{discussion}", {"title": title})
        assert (status, problem["errors"][0]["field"]) == (422, "title")
    reader = client.system.reader(discussion)
    await reader.follow(client.http)
    assert reader.ended == {"state": "completed"}


async def test_a_discussion_is_exported_for_people_and_for_programs(client: Client) -> None:
    discussion = await answered(client, "Bread.", "riley-engstrom", "morgan-castellano")
    url = f"{client.system.url}{DISCUSSIONS}/{discussion}/export"
    headers = client.system.headers

    async def got(query: str = "", accept: str = "*/*") -> tuple[str, str, str]:
        async with client.http.get(url + query, headers={**headers, "Accept": accept}) as answer:
            assert answer.status == 200
            name = answer.headers["Content-Disposition"]
            return answer.content_type, name, await answer.text()

    kind, name, text = await got()
    as_json = await got("?format=json")
    status, problem = await client.ask("GET", f"{DISCUSSIONS}/{discussion}/export?format=pdf")

    assert (kind, name) == ("text/markdown", 'attachment; filename="text-bread.md"')
    assert "## Riley Engstrom" in text
    assert "## Morgan Castellano" in text
    assert text.count("Bread.") == 4, "title, question, and both answers"
    assert await got(accept="application/json") == as_json
    assert await got("?format=markdown", accept="application/json") == (kind, name, text)
    document = json.loads(as_json[2])
    assert document["format"] == "parley.discussion.v1"
    assert document["discussion"] == await client.read(discussion)
    assert (status, problem["errors"][0]["field"]) == (422, "format")


async def test_viewers_export_and_do_not_delete(client: Client) -> None:
    discussion = await answered(client, "Read only.")
    _, issued = await client.ask("POST", "/api/v1/tokens", {"role": "viewer"})
    viewer = {"Authorization": f"Bearer {issued['token']}"}
    path = f"{DISCUSSIONS}/{discussion}"
    async with client.http.get(f"{client.system.url}{path}/export", headers=viewer) as answer:
        assert answer.status == 200
    assert (await client.ask("DELETE", path, **viewer))[0] == 403
    assert (await client.ask("PATCH", path, {"title": "Mine"}, **viewer))[0] == 403
    await client.ask("DELETE", f"/api/v1/tokens/{issued['id']}")


@pytest.mark.parametrize("stream", [False, True])
async def test_without_store_nothing_of_what_was_said_is_kept(
    client: Client, *, stream: bool
) -> None:
    sdk = openai.AsyncOpenAI(
        base_url=f"{client.system.url}/v1", api_key=client.system.token, max_retries=0
    )
    word = fresh()
    ask = partial(
        sdk.chat.completions.create,
        model="kimi/kimi-k2.6",
        messages=[{"role": "user", "content": f"[[text: It was {word}.]]"}],
        store=False,
    )
    if stream:
        pieces = [chunk async for chunk in await ask(stream=True)]
        id = pieces[0].id
        said = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    else:
        whole = await ask(stream=False)
        id, said = whole.id, whole.choices[0].message.content
    await sdk.close()
    path = f"{DISCUSSIONS}/{id.removeprefix('chatcmpl-')}"

    async def gone() -> bool:
        return (await client.ask("GET", path))[0] == 410

    assert said == f"It was {word}."
    await eventually(gone)
    assert await found(client, word) == []
