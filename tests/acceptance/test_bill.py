"""What Parley says was used is what the provider bills: to the token, whatever went wrong."""

from __future__ import annotations

from typing import Any

from tests.eventually import eventually
from tests.systems import Client

MARK = "to be billed"

COUNTED = {
    "answered": "[[many: 12]]",
    "with numbers of its own": "[[text: So be it. ; usage: 1234 567]]",
    "thought about": "[[think: Hm. Hm. ; text: Yes.]]",
    "cut, begun anew, and cut again": "[[many: 5 ; count ; cut]]",
    "cut, and gone on with": "[[many: 59 ; count ; cut-once ; text: And that was all.]]",
    "turned into an error in the middle": (
        "[[text: It was going ; count ; error: 200 engine_overloaded_error Busy]]"
    ),
    "without a last word": "[[text: It just ends. ; count ; finish: none]]",
    "refused": "[[error: 400 invalid_request_error This is not possible]]",
}
"""Each is billed as the provider has told, if it has told anything."""


async def test_the_sums_are_the_provider_s_bill_to_the_token(client: Client) -> None:
    token = await new_token(client)
    asked = [await ask_with(client, token, f"{script} {MARK}") for script in COUNTED.values()]
    for discussion in asked:
        await ends(client, discussion)
    stalled = await ask_with(client, token, f"[[many: 7 ; count ; stall]] {MARK}")
    await says(client, stalled, "word6")
    status, _ = await client.ask("POST", f"/api/v1/discussions/{stalled}/cancel")
    assert status == 200

    async def corrected() -> bool:
        """The last word on the one that was given up has come."""
        return not (await used(client, token))["unknown"]["requests"]

    await eventually(corrected)
    requests = await bills(client)
    billed = [bill for bill in requests if bill is not None]
    line = await used(client, token)

    assert all(bill["told"] for bill in billed)
    assert len(billed) > len(COUNTED), "some were asked again"
    measured = line["measured"]
    assert measured["requests"] == len(billed)
    assert measured["input_tokens"] == sum(bill["prompt_tokens"] for bill in billed)
    assert measured["output_tokens"] == sum(bill["completion_tokens"] for bill in billed)
    estimated = line["estimated"]
    assert estimated["requests"] == len(requests) - len(billed), "refused: for nothing"
    assert estimated["input_tokens"] == estimated["output_tokens"] == 0


async def test_what_was_never_told_is_estimated_and_said_to_be(client: Client) -> None:
    token = await new_token(client)
    discussion = await ask_with(client, token, "[[many: 6 ; cut]] never told")
    await ends(client, discussion)

    line = await used(client, token)

    assert line["measured"]["requests"] == 0
    assert line["estimated"]["requests"] == 2
    assert line["estimated"]["output_tokens"] > 0
    assert line["estimated"]["input_tokens"] > 0


# --- Asking, and the two books ----------------------------------------------------------------


async def new_token(client: Client) -> dict[str, Any]:
    body = {"role": "member", "label": "whose bill this is"}
    status, token = await client.ask("POST", "/api/v1/tokens", body)
    assert status == 201, token
    return token


async def ask_with(client: Client, token: dict[str, Any], topic: str) -> str:
    headers = {"Authorization": f"Bearer {token['token']}"}
    body = {"topic": topic, "participants": [{"persona": "riley-engstrom"}]}
    status, opened = await client.ask("POST", "/api/v1/discussions", body, **headers)
    assert status == 201, opened
    return opened["id"]


async def ends(client: Client, discussion: str) -> None:
    reader = client.system.reader(discussion)
    while reader.ended is None:
        await reader.follow(client.http)


async def says(client: Client, discussion: str, word: str) -> None:
    async def said() -> bool:
        (turn,) = (await client.read(discussion))["turns"]
        return word in turn["text"]

    await eventually(said)


async def used(client: Client, token: dict[str, Any]) -> dict[str, Any]:
    """What Parley says."""
    status, report = await client.ask("GET", "/api/v1/usage?by=token")
    assert status == 200, report
    (line,) = [line for line in report["items"] if line["key"] == token["id"]]
    assert line["name"] == "whose bill this is"
    return line


async def bills(client: Client) -> list[dict[str, Any] | None]:
    """What the provider says, of each request."""
    async with client.http.get(client.system.asked) as answer:
        log: list[dict[str, Any]] = await answer.json()
    return [entry["bill"] for entry in log if MARK in str(entry["body"])]
