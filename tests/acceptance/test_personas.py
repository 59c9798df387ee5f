"""Personas of one's own over HTTP: made, revised, archived, taken elsewhere and brought back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.ids import fresh
from tests.systems import Client

PERSONAS = "/api/v1/personas"
ADA: dict[str, Any] = {
    "name": "Ada Lovelace",
    "title": "Mathematician",
    "prompt": "You are Ada. Count.\n\nThen rhyme: “ümläut” 😀.",
    "color": "#336699",
}
RETIRED = "kimi/kimi-k2-0711-preview"


def named(slug: str = "", **more: object) -> dict[str, Any]:
    """A persona that no other test has."""
    return {**ADA, "slug": slug or f"ada-{fresh()[-12:]}", **more}


async def test_a_persona_is_created_revised_archived_and_brought_back(client: Client) -> None:
    wanted = named()
    path = f"{PERSONAS}/{wanted['slug']}"
    status, made = await client.ask("POST", PERSONAS, wanted)
    revision = {**ADA, "title": "Poet"}
    _, revised = await client.ask("PUT", path, {**revision, "version": 1})
    again, same = await client.ask("PUT", path, revision)
    late, outdated = await client.ask("PUT", path, {**ADA, "version": 1})
    gone = [(await client.ask("DELETE", path))[0] for _ in range(2)]
    missing, archived = await client.ask("GET", path)
    _, put_away = await client.ask("GET", f"{PERSONAS}?archived=true")
    taken, conflict = await client.ask("POST", PERSONAS, wanted)
    back, returned = await client.ask("PUT", path, revision)

    assert status == 201
    assert made.items() >= wanted.items()
    assert (made["version"], revised["version"], revised["title"]) == (1, 2, "Poet")
    assert (again, same) == (200, revised)
    assert (late, outdated["type"]) == (409, "urn:parley:problem:outdated-version")
    assert gone == [204, 204]
    assert (missing, archived["type"]) == (404, "urn:parley:problem:archived-persona")
    assert wanted["slug"] in [one["slug"] for one in put_away["items"]]
    assert (taken, conflict["type"]) == (409, "urn:parley:problem:archived-persona")
    assert (back, returned["version"]) == (200, 3)
    await client.ask("DELETE", path)


async def test_the_slug_is_made_of_the_name_and_a_repeated_wish_is_done_once(
    client: Client,
) -> None:
    wanted = {**ADA, "name": f"Zoë {fresh()[-12:]}"}
    key = {"Idempotency-Key": fresh()}
    answers = await asyncio.gather(*(client.ask("POST", PERSONAS, wanted, **key) for _ in range(3)))
    other, problem = await client.ask("POST", PERSONAS, {**wanted, "title": "Other"}, **key)

    assert {status for status, _ in answers} == {201}
    assert {said["slug"] for _, said in answers} == {wanted["name"].lower().replace("ë ", "e-")}
    assert (other, problem["type"]) == (422, "urn:parley:problem:idempotency-mismatch")
    await client.ask("DELETE", f"{PERSONAS}/{answers[0][1]['slug']}")


@pytest.mark.parametrize(
    ("wrong", "status", "slug", "field"),
    [
        ({"slug": "Ada Lovelace"}, 422, "invalid", "slug"),
        ({"slug": "export"}, 422, "invalid", "slug"),
        ({"slug": "riley-engstrom"}, 409, "slug-taken", None),
        ({"slug": None, "name": "李明"}, 422, "bad-slug", "slug"),
        ({"prompt": "x" * 20_001}, 422, "invalid", "prompt"),
        ({"prompt": " \n"}, 422, "invalid", "prompt"),
        ({"name": "Ada\nLovelace"}, 422, "invalid", "name"),
        ({"title": ""}, 422, "invalid", "title"),
        ({"color": "red"}, 422, "invalid", "color"),
        ({"model": RETIRED}, 422, "retired-model", "model"),
        ({"model": "kimi/kimi-k99"}, 422, "unknown-model", "model"),
        ({"model": "openai/gpt-5.5"}, 422, "no-key", "model"),
        ({"colour": "#ffffff"}, 422, "invalid", "body"),
    ],
)
async def test_what_cannot_be_a_persona_is_refused_with_what_to_do(
    client: Client, wrong: dict[str, Any], status: int, slug: str, field: str | None
) -> None:
    said, problem = await client.ask("POST", PERSONAS, {**named(), **wrong})

    assert (said, problem["type"]) == (status, f"urn:parley:problem:{slug}")
    assert problem["next_step"]
    if field:
        assert [error["field"] for error in problem["errors"]] == [field]
    if wrong.get("model") == RETIRED:
        assert problem["successor"] == "kimi/kimi-k2.6"
    if slug == "unknown-model":
        assert problem["nearest"]


async def test_an_unknown_one_is_told_its_nearest(client: Client) -> None:
    for method, body in [("GET", None), ("PUT", ADA), ("DELETE", None)]:
        status, problem = await client.ask(method, f"{PERSONAS}/riley-engstorm", body)
        assert (status, problem["type"]) == (404, "urn:parley:problem:unknown-persona")
        assert problem["nearest"][0] == "riley-engstrom"


async def test_what_is_exported_is_imported_as_it_was(client: Client) -> None:
    wanted = named()
    path = f"{PERSONAS}/{wanted['slug']}"
    await client.ask("POST", PERSONAS, wanted)
    async with client.http.get(
        f"{client.system.url}{path}/export", headers=client.system.headers
    ) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")
        document = await answer.json()

    _, unchanged = await client.ask("POST", f"{PERSONAS}/import", document)
    await client.ask("PUT", path, {**ADA, "prompt": "Forget."})
    _, kept = await client.ask("POST", f"{PERSONAS}/import", {**document, "existing": "keep"})
    await client.ask("DELETE", path)
    status, restored = await client.ask("POST", f"{PERSONAS}/import", document)
    _, again = await client.ask("GET", f"{path}/export")
    _, whole = await client.ask("GET", f"{PERSONAS}/export")
    _, all_of_them = await client.ask("POST", f"{PERSONAS}/import", whole)

    assert document == {"format": "parley.personas.v1", "personas": [wanted]}
    assert [unchanged["items"][0][name] for name in ("outcome", "version")] == ["unchanged", 1]
    assert kept["items"][0]["outcome"] == "kept"
    assert status == 200
    assert restored["items"] == [{"slug": wanted["slug"], "version": 3, "outcome": "revised"}]
    assert again == document
    assert {one["outcome"] for one in all_of_them["items"]} == {"unchanged"}
    await client.ask("DELETE", path)


async def test_an_import_is_taken_whole_or_not_at_all(client: Client) -> None:
    good, bad = named(), named("Bad Slug")
    document = {"format": "parley.personas.v1", "personas": [good, bad]}
    status, problem = await client.ask("POST", f"{PERSONAS}/import", document)
    twice, double = await client.ask(
        "POST", f"{PERSONAS}/import", {**document, "personas": [good, good]}
    )
    missing, _ = await client.ask("GET", f"{PERSONAS}/{good['slug']}")

    assert (status, problem["errors"][0]["field"]) == (422, "personas.1.slug")
    assert (twice, double["type"]) == (422, "urn:parley:problem:slug-twice")
    assert missing == 404


async def test_a_default_model_that_has_retired_says_so_and_names_its_successor(
    client: Client,
) -> None:
    wanted = named(model=RETIRED)
    path = f"{PERSONAS}/{wanted['slug']}"
    document = {"format": "parley.personas.v1", "personas": [wanted]}
    status, _ = await client.ask("POST", f"{PERSONAS}/import", document)
    assert status == 200, "a model that is not here is no reason to lose a persona"
    _, found = await client.ask("GET", path)
    stands = found["default_model_status"]

    kept, still = await client.ask("PUT", path, {**ADA, "model": RETIRED, "title": "Poet"})
    mended, there = await client.ask("PUT", path, {**ADA, "model": stands["successor"]})
    _, listed = await client.ask("GET", PERSONAS)
    riley = next(one for one in listed["items"] if one["slug"] == "riley-engstrom")

    assert (stands["state"], stands["successor"]) == ("retired", "kimi/kimi-k2.6")
    assert stands["successor_available"] is True
    assert stands["instead"].startswith("kimi/")
    assert (kept, still["default_model_status"]["state"]) == (200, "retired")
    assert (mended, there["default_model_status"]["state"]) == (200, "available")
    assert "default_model_status" not in riley
    await client.ask("DELETE", path)


async def test_a_discussion_keeps_to_the_version_it_began_with(client: Client) -> None:
    wanted = named()
    path = f"{PERSONAS}/{wanted['slug']}"
    await client.ask("POST", PERSONAS, wanted)
    discussion = await client.open("[[text: One.]]", wanted["slug"])
    await client.ask("PUT", path, {**ADA, "name": "Ada Byron", "prompt": "Be another."})
    later = await client.open("[[text: Two.]]", wanted["slug"])
    await client.ask("DELETE", path)

    first, second = [await client.read(id) for id in (discussion, later)]
    status, refused = await client.ask(
        "POST", "/api/v1/discussions", {"topic": "x", "participants": [{"persona": wanted["slug"]}]}
    )

    pinned = [view["participants"][0] for view in (first, second)]
    assert [(who["name"], who["version"]) for who in pinned] == [
        ("Ada Lovelace", 1),
        ("Ada Byron", 2),
    ]
    assert (status, refused["type"]) == (422, "urn:parley:problem:unknown-persona")


async def test_viewers_read_personas_and_change_none(client: Client) -> None:
    _, issued = await client.ask("POST", "/api/v1/tokens", {"role": "viewer"})
    viewer = {"Authorization": f"Bearer {issued['token']}"}
    path = f"{PERSONAS}/riley-engstrom"
    for method, where, body, expected in [
        ("GET", PERSONAS, None, 200),
        ("GET", f"{PERSONAS}/export", None, 200),
        ("POST", PERSONAS, named(), 403),
        ("POST", f"{PERSONAS}/import", {}, 403),
        ("PUT", path, ADA, 403),
        ("DELETE", path, None, 403),
    ]:
        status, _ = await client.ask(method, where, body, **viewer)
        assert status == expected, (method, where)
    await client.ask("DELETE", f"/api/v1/tokens/{issued['id']}")
