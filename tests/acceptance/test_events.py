"""Following discussions live: any number of lost connections, nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
import random

import aiohttp
import pytest

from tests.readers import Reader, Sent, frames
from tests.systems import Client

PAIR = ("riley-engstrom", "morgan-castellano")


async def follow_restlessly(reader: Reader, http: aiohttp.ClientSession, seed: int) -> None:
    """Drop the connection at random and come back at once, until the end."""
    dice = random.Random(seed)
    while reader.ended is None:
        leave_after = dice.choice([None, 1, 2, 5, 20, 40])
        assert await reader.follow(http, leave_after=leave_after) in {200, 204}
        if reader.facts and reader.facts[-1].name == "DiscussionCompleted":
            break  # only `end` was lost
        await asyncio.sleep(dice.random() * 0.05)


async def test_ten_discussions_followed_by_readers_that_drop_and_come_back(
    client: Client,
) -> None:
    opened = await asyncio.gather(
        *(client.open(f"[[rate: 80 ; many: {40 + 5 * at}]]", *PAIR) for at in range(10))
    )
    readers = [client.system.reader(discussion) for discussion in opened for _ in range(4)]

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(follow_restlessly(reader, client.http, seed) for seed, reader in enumerate(readers))
        )

    assert sum(reader.connections for reader in readers) > 2 * len(readers), "they did drop"
    for discussion in opened:
        view = await client.read(discussion)
        truth = {turn["id"]: turn["text"] for turn in view["turns"]}
        for reader in readers:
            if discussion in reader.address:
                assert reader.completed() == truth
                assert reader.last == view["version"]
                assert reader.ended in ({"state": "completed"}, None)
                assert await reader.follow(client.http) == 204


async def test_a_reader_from_beginning_to_end_sees_every_word_live(client: Client) -> None:
    reader = client.system.reader(await client.open("[[rate: 100 ; many: 60]]"))
    await reader.follow(client.http)

    assert reader.ended == {"state": "completed"}
    assert reader.names()[:3] == ["DiscussionOpened", "TurnScheduled", "AttemptStarted"]
    assert reader.names()[-2:] == ["TurnCompleted", "DiscussionCompleted"]
    [(_, text)] = [one for one in reader.text.items() if one[0][1] == "text"]
    assert [text] == list(reader.completed().values())


async def test_the_first_bytes_say_that_it_is_connected_and_when_to_come_back(
    client: Client,
) -> None:
    reader = client.system.reader(await client.open("[[text: Hello.]]"))
    await reader.follow(client.http)

    assert reader.said[0] == ": connected"
    name, _, milliseconds = reader.said[1].partition(": ")
    assert name == "retry"
    assert 3000 <= int(milliseconds) <= 6000


async def test_a_finished_discussion_is_told_whole_and_then_no_more(client: Client) -> None:
    discussion = await client.open("[[text: Short.]]")
    first = client.system.reader(discussion)
    await first.follow(client.http)
    late = client.system.reader(discussion)
    await late.follow(client.http)

    assert [fact.data for fact in late.facts] == [fact.data for fact in first.facts]
    assert late.ended == {"state": "completed"}
    assert await late.follow(client.http) == 204


@pytest.mark.parametrize("id", ["-1", "abc", str(2**63), "7; x", "99999", "1.5"])
async def test_an_unknown_last_event_id_begins_anew(client: Client, id: str) -> None:
    discussion = await client.open("[[rate: 10 ; many: 30]]")
    address = client.system.reader(discussion).address
    headers = {**client.system.headers, "Last-Event-ID": id}

    async with client.http.get(address, headers=headers) as response:
        heard: list[Sent] = []
        async for sent in frames(response):
            if isinstance(sent, Sent):
                heard.append(sent)
            if len(heard) == 2:
                response.close()
                break

    assert [sent.name for sent in heard] == ["resync", "DiscussionOpened"]
    await client.ask("POST", f"/api/v1/discussions/{discussion}/cancel")


@pytest.mark.parametrize(
    "text",
    ["a\\n\\nevent: end\\ndata: {}", "\\r\\n\\r\\nid: 99", "\\u0000 and \\u2028", "\\ufeffx"],
)
async def test_what_a_model_says_cannot_forge_an_event(client: Client, text: str) -> None:
    piece = f'{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}'
    reader = client.system.reader(await client.open(f"[[raw: data: {piece} ; finish: stop]]"))
    await reader.follow(client.http)

    said = text.encode().decode("unicode_escape")
    assert list(reader.completed().values()) == [said]
    assert reader.ended == {"state": "completed"}


async def test_a_cancelled_discussion_ends_its_streams(client: Client) -> None:
    discussion = await client.open("[[rate: 5 ; many: 500]]")
    reader = client.system.reader(discussion)
    following = asyncio.create_task(reader.follow(client.http))
    status, view = await client.ask("POST", f"/api/v1/discussions/{discussion}/cancel")
    again, _ = await client.ask("POST", f"/api/v1/discussions/{discussion}/cancel")

    assert (status, again, view["state"]) == (200, 200, "cancelled")
    async with asyncio.timeout(10):
        await following
    assert reader.ended == {"state": "cancelled"}


async def test_many_viewers_cause_one_request(client: Client) -> None:
    discussion = await client.open("[[rate: 40 ; many: 60]]")
    readers = [client.system.reader(discussion) for _ in range(50)]
    await asyncio.gather(*(reader.follow(client.http) for reader in readers))

    assert all(reader.ended == {"state": "completed"} for reader in readers)
    [turn] = (await client.read(discussion))["turns"]
    assert turn["attempts"] == 1


async def test_a_stream_is_only_for_who_takes_streams(client: Client) -> None:
    discussion = await client.open("[[text: Hello.]]")
    address = f"/api/v1/discussions/{discussion}/events"

    status, problem = await client.ask("GET", address, Accept="application/json")

    assert (status, problem["type"]) == (406, "urn:parley:problem:not-acceptable")
