"""The workflows that Parley brings along are sound, and every prompt of theirs can be filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.discussion import DiscussionState
from contracts.workflow_events import Definition, RunStarted
from services.discussion.workflows import asking, templates
from services.discussion.workflows.budgets import Spent
from services.discussion.workflows.library import built_ins
from services.discussion.workflows.reading import read
from services.discussion.workflows.results import Result
from services.persona.library import built_ins as personas
from tests.unit.test_runs import NOON

DEFINITIONS = [read(source) for source in built_ins()]


def test_there_are_six() -> None:
    assert [one.slug for one in DEFINITIONS] == [
        "contract-risk-review",
        "incident-review",
        "launch-plan",
        "naming",
        "product-brief",
        "research-summary",
    ]


def test_the_launch_is_planned_by_riley_and_morgan() -> None:
    (launch,) = [one for one in DEFINITIONS if one.slug == "launch-plan"]
    debate = launch.step("argument")
    assert debate.mode == "debate"
    assert [one.persona for one in debate.participants if not one.role] == [
        "riley-engstrom",
        "morgan-castellano",
    ]


def test_the_example_of_the_page_is_sound() -> None:
    page = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert [step.name for step in read(example).steps] == ["ideas", "invitation"]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.slug)
def test_everybody_in_it_is_built_in(definition: Definition) -> None:
    known = {persona.slug for persona in personas()}
    named = {one.persona for step in definition.steps for one in step.participants}
    assert named <= known


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.slug)
def test_every_prompt_can_be_filled_in_however_long_what_came_before_is(
    definition: Definition,
) -> None:
    long = "word " * 40_000
    result = Result(
        state=DiscussionState.COMPLETED,
        text=long,
        outcome="completed",
        turns=tuple({"name": "Riley", "persona": "r", "model": "m", "text": long} for _ in "12"),
        model="m",
        failed=(),
        spent=Spent(),
        seconds=1.0,
    )
    started = RunStarted(
        at=NOON,
        run="r",
        workspace="default",
        workflow="w",
        version=1,
        definition=definition,
        inputs={field.name: "word " * 1_000 for field in definition.inputs if field.required},
    )
    for step in definition.steps:
        context = asking.context(started, dict.fromkeys(asking.needed(step), result))
        prompt = templates.render(step.prompt, context)
        assert 200 < len(prompt) < templates.LONGEST
        assert asking.discussion(started, step, 0, prompt).topic == prompt


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.slug)
def test_it_says_what_it_is_and_what_it_asks_for(definition: Definition) -> None:
    assert len(definition.description) > 40
    assert all(field.description for field in definition.inputs)
    assert all(step.title for step in definition.steps)
    assert any(field.required for field in definition.inputs)
