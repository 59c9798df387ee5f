"""People who let personas debate, compare models, and go on from there, over HTTP."""

from __future__ import annotations

from typing import Any

from tests.eventually import eventually
from tests.systems import Client

RILEY = {"persona": "riley-engstrom"}
MORGAN = {"persona": "morgan-castellano"}
KIMI = "kimi/kimi-k2.6"


async def begin(client: Client, **body: Any) -> str:
    status, opened = await client.ask("POST", "/api/v1/discussions", body)
    assert status == 201, opened
    return opened["id"]


async def ended(client: Client, discussion: str) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        view = await client.read(discussion)
        return view if view["state"] == "completed" else None

    found = await eventually(over)
    assert found is not None
    return found


async def test_a_debate_takes_turns_and_goes_on_when_somebody_asks(client: Client) -> None:
    debate = await begin(
        client,
        topic="[[text: A point.]]",
        mode="debate",
        participants=[RILEY, MORGAN],
        options={"rounds": 1},
    )
    first = await ended(client, debate)
    assert [turn["persona"] for turn in first["turns"]] == ["riley-engstrom", "morgan-castellano"]
    assert first["stopped_by"] == "rounds"

    path = f"/api/v1/discussions/{debate}/messages"
    status, posted = await client.ask("POST", path, {"text": "[[text: And for children?]]"})
    assert status == 201
    assert posted["posts"][0]["text"] == "[[text: And for children?]]"
    again = await ended(client, debate)

    assert [turn["round"] for turn in again["turns"]] == [1, 1, 2, 2]
    assert again["stopped_by"] == "posted"


async def test_a_blind_comparison_hides_who_said_what_until_the_pick(client: Client) -> None:
    compared = await begin(
        client,
        topic="[[text: The same for all.]]",
        models=[KIMI, KIMI],
        options={"blind": True},
        judge={"model": KIMI},
    )
    hidden = await ended(client, compared)
    assert [turn["model"] for turn in hidden["turns"]][:2] == ["hidden", "hidden"]
    assert await models_told(client, compared) == ["hidden", "hidden", KIMI]
    assert hidden["turns"][2]["purpose"] == "judgement"

    turn = hidden["turns"][1]["id"]
    fork = f"/api/v1/discussions/{compared}/fork"
    status, problem = await client.ask("POST", fork, {"turn": turn})
    assert status == 409, "a fork would tell the name"
    assert "Pick first" in problem["next_step"]

    status, told = await client.ask("POST", f"/api/v1/discussions/{compared}/pick", {"turn": turn})

    assert status == 200
    assert told["picked"] == turn
    assert {turn["model"] for turn in told["turns"]} == {KIMI}
    assert await models_told(client, compared) == [KIMI] * 3


async def models_told(client: Client, discussion: str) -> list[str]:
    """What somebody reads who follows it from the beginning; each fact tells the same of a turn."""
    reader = client.system.reader(discussion)
    await reader.follow(client.http)
    called = [fact.data["model"] for fact in reader.facts if fact.name == "TurnScheduled"]
    ended = {
        fact.data["turn"]: fact.data["model"]
        for fact in reader.facts
        if fact.name == "TurnCompleted"
    }
    assert sorted(ended.values()) == sorted(called)
    return called


async def test_a_turn_is_asked_again_of_somebody_else(client: Client) -> None:
    asked = await client.open("[[text: One way to see it.]]")
    view = await ended(client, asked)
    turn = view["turns"][0]["id"]

    status, forked = await client.ask(
        "POST",
        f"/api/v1/discussions/{asked}/fork",
        {"turn": turn, "persona": "morgan-castellano", "text": "[[text: Another.]]"},
    )
    assert status == 201, forked
    other = await ended(client, forked["id"])

    assert other["forked_from"] == {"discussion": asked, "turn": turn}
    assert other["turns"][0]["persona"] == "morgan-castellano"
    assert other["turns"][0]["text"] == "Another."


async def test_a_debate_can_be_ended_by_hand(client: Client) -> None:
    debate = await begin(
        client,
        topic="[[text: A point.]]",
        mode="debate",
        participants=[RILEY, MORGAN],
        options={"rounds": 10},
    )

    status, _ = await client.ask("POST", f"/api/v1/discussions/{debate}/conclude", {})

    assert status == 200
    assert len((await ended(client, debate))["turns"]) < 20


async def test_what_does_not_fit_a_mode_is_refused_with_what_would(client: Client) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"mode": "debate", "participants": [RILEY]}, "2 to 8"),
        ({"mode": "parallel", "participants": [RILEY], "options": {"rounds": 2}}, "debate"),
        ({"mode": "debate", "participants": [RILEY, MORGAN], "judge": RILEY}, "moderator"),
        ({"models": [KIMI], "topic": "x"}, "2 to 8"),
        ({"models": [KIMI, KIMI], "participants": [RILEY]}, "instead of participants"),
        ({"topic": "Nobody?"}, "who takes part"),
    ]
    for body, words in wrong:
        status, problem = await client.ask("POST", "/api/v1/discussions", {"topic": "x"} | body)
        assert status == 422, problem
        assert words in str(problem), problem
        assert problem["next_step"]
