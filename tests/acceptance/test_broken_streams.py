"""A stream that breaks loses no word: it is gone on with where the model can, or begun anew."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems import Client


def words_of(number: int) -> list[str]:
    """What the provider says to `many: number`."""
    return [f"word{n}" for n in range(number)]


async def provider_log(client: Client, marker: str) -> list[dict[str, Any]]:
    async with client.http.get(client.system.asked) as answer:
        log: list[dict[str, Any]] = await answer.json()
    return [entry for entry in log if marker in str(entry)]


@pytest.mark.parametrize("said", [40, 59])
async def test_a_long_answer_is_gone_on_with(client: Client, said: int) -> None:
    marker = f"goes on after {said}"
    discussion = await client.open(
        f"[[many: {said} ; cut-once ; text: And that was all.]] {marker}"
    )
    reader = client.system.reader(discussion)
    while reader.ended is None:
        await reader.follow(client.http)

    _, found = await client.ask("GET", f"/api/v1/discussions/{discussion}")
    (turn,) = found["turns"]
    assert turn["text"].split() == [*words_of(said), *["And", "that", "was", "all."]]
    assert turn["attempts"] == 2
    assert "TurnRestarted" not in reader.names()
    assert len(await provider_log(client, marker)) == 2


async def test_a_short_one_is_begun_anew(client: Client) -> None:
    discussion = await client.open("[[many: 5 ; cut]] begins anew")
    reader = client.system.reader(discussion)
    while reader.ended is None:
        await reader.follow(client.http)

    assert reader.names().count("TurnRestarted") == 1
    _, found = await client.ask("GET", f"/api/v1/discussions/{discussion}")
    (turn,) = found["turns"]
    assert found["state"] == "failed"
    assert turn["text"].split() == words_of(5), "what was heard is kept"
