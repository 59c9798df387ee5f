"""Workflows over HTTP and from the command line, with all five services running."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.home import CHECKOUT
from tests.eventually import eventually
from tests.readers import Reader
from tests.systems import Client

TEA = """\
slug: tea-over-http
title: Tea over HTTP
inputs:
  - guest
steps:
  - name: ideas
    personas: [riley-engstrom, morgan-castellano]
    prompt: "[[text: Assam.]] For {{ inputs.guest }}?"
  - name: choice
    after: [ideas]
    personas: [ines-duarte]
    prompt: "[[text: It is Assam.]] {{ steps.ideas.text }}"
"""

GATED = """\
slug: tea-with-a-gate
title: Tea with a gate
steps:
  - name: draft
    personas: [riley-engstrom]
    prompt: "[[text: A draft.]]"
    compare_providers: {models: [kimi/k2, kimi/k3], gate: person}
"""


async def define(client: Client, source: str) -> dict[str, Any]:
    slug = source.split("\n", 1)[0].removeprefix("slug: ")
    status, made = await client.ask("POST", "/api/v1/workflows", {"source": source})
    if status == 409:
        status, made = await client.ask("PUT", f"/api/v1/workflows/{slug}", {"source": source})
    assert status in {200, 201}, made
    return made


async def start(client: Client, slug: str, inputs: dict[str, str] | None = None) -> str:
    path = f"/api/v1/workflows/{slug}/runs"
    status, run = await client.ask("POST", path, {"inputs": inputs or {}})
    assert status == 201, run
    return str(run["id"])


async def reaches(
    client: Client, run: str, *states: str, within: timedelta = timedelta(seconds=20)
) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        status, view = await client.ask("GET", f"/api/v1/runs/{run}")
        assert status == 200, view
        return view if view["state"] in states else None

    found = await eventually(there, within=within)
    assert found is not None
    return found


async def test_a_run_is_started_followed_and_read(client: Client) -> None:
    made = await define(client, TEA)
    run = await start(client, made["id"], {"guest": "Ada"})
    system = client.system
    reader = Reader(f"{system.url}/api/v1/runs/{run}/events", system.headers)
    await reader.follow(client.http)

    assert reader.ended == {"state": "completed"}
    assert reader.names() == [
        "RunStarted",
        *["StepStarted", "StepAnswered", "StepCompleted"] * 2,
        "RunCompleted",
    ]
    view = await reaches(client, run, "completed")
    ideas, choice = view["steps"]
    assert ideas["text"].startswith("## Riley Engstrom\n\nAssam.")
    assert choice["text"] == "It is Assam."
    assert float(view["cost"]["amount"]) > 0
    discussion = await client.read(choice["discussion"])
    assert discussion["title"] == "Tea over HTTP: choice"
    assert "## Morgan Castellano" in discussion["topic"]
    _, listed = await client.ask("GET", "/api/v1/runs?workflow=tea-over-http&state=completed")
    assert run in [one["id"] for one in listed["items"]]


async def test_a_gate_waits_over_http_and_a_fork_goes_on_from_it(client: Client) -> None:
    await define(client, GATED)
    run = await start(client, "tea-with-a-gate")
    await reaches(client, run, "waiting")
    gate = f"/api/v1/runs/{run}/gates/draft"

    status, problem = await client.ask("POST", gate, {"choose": 5})
    assert (status, problem["type"]) == (422, "urn:parley:problem:unknown-candidate")
    status, problem = await client.ask("POST", gate, {"chose": 1})
    assert status == 422
    assert "did you mean choose?" in problem["errors"][0]["message"]
    status, view = await client.ask("POST", gate, {"choose": "kimi/k3"})
    assert status == 200
    view = await reaches(client, run, "completed")
    assert [one["chosen"] for one in view["steps"][0]["candidates"]] == [False, True]

    status, forked = await client.ask("POST", f"/api/v1/runs/{run}/fork", {"step": "draft"})
    assert status == 201
    assert (await reaches(client, forked["id"], "waiting"))["forked_from"] == run
    status, view = await client.ask("POST", f"/api/v1/runs/{forked['id']}/cancel")
    assert (status, view["state"]) == (200, "cancelled")


async def test_what_is_wrong_comes_with_its_line_and_column(client: Client) -> None:
    source = TEA.replace("inputs.guest", "inputs.gast").replace("after: [ideas]", "after: [idea]")
    status, problem = await client.ask("POST", "/api/v1/workflows", {"source": source})

    assert (status, problem["type"]) == (422, "urn:parley:problem:unsound-workflow")
    assert [(one["line"], one["column"]) for one in problem["errors"]] == [
        ("8", "45"),
        ("10", "13"),
        ("12", "46"),
    ]
    definition = {"slug": "x", "title": "x", "steps": [{"name": "x", "prompt": "x"}]}
    status, problem = await client.ask("POST", "/api/v1/workflows", {"definition": definition})
    assert status == 422
    assert problem["errors"][0]["field"] == "steps.0"


async def test_bad_requests_are_refused_in_words(client: Client) -> None:
    bad: list[tuple[str, str, Any, int]] = [
        ("GET", "/api/v1/workflows/lanch-plan", None, 404),
        ("GET", "/api/v1/workflows/%00", None, 404),
        ("GET", f"/api/v1/workflows/{'x' * 300}", None, 404),
        ("GET", "/api/v1/runs/nothing", None, 404),
        ("GET", "/api/v1/runs?cursor=nothing", None, 422),
        ("POST", "/api/v1/workflows", {}, 422),
        ("POST", "/api/v1/workflows", {"source": "\x00"}, 422),
        ("POST", "/api/v1/workflows/launch-plan/runs", {"inputs": {}}, 422),
        ("POST", "/api/v1/workflows/launch-plan/runs", {"inputs": {"product": 5}}, 422),
        ("POST", "/api/v1/workflows/launch-plan/runs", {"inputs": {}, "budget": {}}, 422),
        ("POST", "/api/v1/runs/nothing/gates/x", {"choose": 1}, 404),
    ]
    for method, path, body, expected in bad:
        status, problem = await client.ask(method, path, body)
        assert status == expected, (path, problem)
        assert problem["title"]
    _, problem = await client.ask("GET", "/api/v1/workflows/lanch-plan")
    assert problem["nearest"][0] == "launch-plan"


async def test_the_launch_is_planned_from_the_command_line(client: Client, tmp_path: Path) -> None:
    product = tmp_path / "product.txt"
    product.write_text("[[text: We launch tea.]] A kettle that hums.")
    environment = os.environ | {
        "PARLEY_URL": client.system.url,
        "PARLEY_TOKEN": client.system.token,
    }

    async def parley(*words: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local", "workflows", *words),
            cwd=CHECKOUT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    status, out, err = await parley("run", "launch-plan", "-i", f"product=@{product}")
    assert (status, out.strip()) == (0, "We launch tea."), err
    assert "argument: completed" in err
    _, out, _ = await parley("list")
    assert "launch-plan" in out
    file = tmp_path / "mine.yaml"
    file.write_text(GATED.replace("tea-with-a-gate", "mine").replace("prompt", "promt"))
    status, _, err = await parley("add", str(file))
    assert status == 1
    assert "line 6, column 5: There is no field 'promt' in a step" in err
    file.write_text(GATED.replace("tea-with-a-gate", "mine"))
    assert (await parley("add", str(file)))[0] == 0
    status, out, err = await parley("run", "mine")
    assert "waits for your choice" in err
    assert out.count("A draft.") == 2
    run = err.split("Run ")[1].split()[0]
    status, out, err = await parley("choose", run, "draft", "1")
    assert (status, out.strip()) == (0, "A draft."), err
    assert (await parley("delete", run))[0] == 0
    _, out, _ = await parley("runs")
    assert run not in out
    status, _, err = await parley("watch", run)
    assert status == 1
    assert "was deleted" in err


async def test_a_run_is_deleted_with_its_discussions(client: Client) -> None:
    await define(client, TEA)
    run = await start(client, "tea-over-http", {"guest": "Ada"})
    view = await reaches(client, run, "completed")
    path = f"/api/v1/runs/{run}"

    for _ in range(2):
        status, _ = await client.ask("DELETE", path)
        assert status == 204

    status, problem = await client.ask("GET", path)
    assert (status, problem["type"].rpartition(":")[2]) == (410, "run-deleted")
    assert problem["next_step"]

    async def its_discussions_are_gone() -> bool:
        said = [
            await client.ask("GET", f"/api/v1/discussions/{step['discussion']}")
            for step in view["steps"]
        ]
        return {status for status, _ in said} == {410}

    await eventually(its_discussions_are_gone)
    reader = Reader(f"{client.system.url}{path}/events", client.system.headers)
    assert await reader.follow(client.http) == 410


async def test_a_step_may_be_a_consensus(client: Client) -> None:
    await define(
        client,
        """\
slug: agreed-tea
title: Agreed tea
steps:
  - name: agree
    mode: consensus
    personas: [riley-engstrom, morgan-castellano, ines-duarte]
    prompt: "[[text: Assam, since the guest is tired.]] Which tea?"
  - name: brew
    personas: [noor-haddad]
    after: [agree]
    when: steps.agree.outcome != 'cancelled'
    prompt: "[[text: Brewed.]] {{ steps.agree.text }}"
""",
    )
    view = await reaches(
        client,
        await start(client, "agreed-tea"),
        "completed",
        "failed",
        within=timedelta(minutes=1),
    )

    agree, brew = view["steps"]
    assert view["state"] == "completed", view
    assert agree["outcome"] in {"consensus", "majority", "split", "insufficient"}
    assert "Assam" in agree["text"]
    assert brew["text"] == "Brewed."
