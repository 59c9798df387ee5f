"""Workflows that are defined and run in the house, and what they are asked of its neighbours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from contracts.attempts import RunAttempt
from contracts.discussion import History
from contracts.workflows import (
    DefineWorkflow,
    GetRun,
    GetRunHistory,
    RunAccepted,
    RunState,
    RunView,
    StartRun,
    WorkflowView,
)
from tests.eventually import eventually
from tests.house import House
from tests.neighbours import Adapter, completed

TEA = """\
slug: tea
title: Tea
inputs:
  - guest
  - {name: hour, default: four}
steps:
  - name: ideas
    personas: [riley-engstrom, morgan-castellano]
    prompt: "IDEAS for {{ inputs.guest }} at {{ inputs.hour }}"
  - name: plan
    personas: [riley-engstrom]
    after: [ideas]
    prompt: "PLAN from: {{ steps.ideas.text }}"
"""


async def sensible(adapter: Adapter, command: RunAttempt) -> None:
    """Answers with what it was asked, so that a test can see what reached it."""
    asked = str(command.messages[-1].content)
    if "Judge which of them" in asked:
        letter = re.search(r"\[([A-H]) begins \w+\]\nkimi-k3", asked)
        text = f"The newer one.\nCHOICE: {letter[1] if letter else '?'}"
    else:
        text = f"{command.model} on <{asked}>"
    await adapter.end(completed(command, text))


async def define(house: House, source: str, **more: Any) -> WorkflowView:
    command = DefineWorkflow(workspace="default", source=on_kimi(source), **more)
    return await house.ask("define_workflow", command, WorkflowView)


def on_kimi(source: str) -> str:
    """Personas on the one model that the neighbours have."""
    return re.sub(
        r"personas: \[([^\]]*)\]",
        lambda found: (
            "participants: ["
            + ", ".join(
                f"{{persona: {one.strip()}, model: kimi/kimi-k2.6}}" for one in found[1].split(",")
            )
            + "]"
        ),
        source,
    )


async def start(
    house: House, slug: str, inputs: Mapping[str, str] | None = None, **more: Any
) -> str:
    command = StartRun(workspace="default", workflow=slug, inputs=dict(inputs or {}), **more)
    return (await house.ask("start_run", command, RunAccepted)).run


async def seen(house: House, run: str) -> RunView:
    return await house.ask("get_run", GetRun(workspace="default", run=run), RunView)


async def reaches(house: House, run: str, *states: RunState) -> RunView:
    async def there() -> RunView | None:
        view = await seen(house, run)
        return view if view.state in states else None

    found = await eventually(there, within=timedelta(seconds=30))
    assert found is not None
    return found


async def story(house: House, run: str) -> list[str]:
    asked = GetRunHistory(workspace="default", discussion=run)
    history = await house.ask("run_history", asked, History)
    assert [entry.version for entry in history.items] == list(range(1, history.version + 1))
    return [entry.name for entry in history.items]
