"""What a step asks, in the form in which any discussion is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.attempts import Parameters
from contracts.discussion import OpenDiscussion, WantedParticipant
from contracts.modes import Mode, Options, Role
from contracts.workflow_events import JUDGE, RunStarted, Speaker, Step
from services.discussion.workflows import templates
from services.discussion.workflows.results import Result

_PARAMETERS = ("temperature", "top_p", "reasoning_effort")
_WISHES = ("rounds", "closed", "revisions", "quorum", "patience", "time_limit")


def needed(step: Step) -> set[str]:
    """The earlier steps that its prompt or its condition speaks of."""
    spoken = [step.prompt, *([templates.condition(step.when)] if step.when else [])]
    return {
        mention.name
        for source in spoken
        for mention in templates.mentions(source)
        if mention.of == "steps"
    }


def context(started: RunStarted, results: Mapping[str, Result | None]) -> dict[str, Any]:
    """What a template can speak of; None stands for a step that was skipped."""
    given = {field.name: field.default for field in started.definition.inputs} | started.inputs
    return {
        "inputs": given,
        "steps": {name: _spoken(result) for name, result in results.items()},
    }


def _spoken(result: Result | None) -> dict[str, Any]:
    if result is None:
        return {
            "text": "",
            "outcome": "skipped",
            "state": "skipped",
            "turns": [],
            "model": "",
            "failed": [],
        }
    return {
        "text": result.text,
        "outcome": result.outcome,
        "state": result.state.value,
        "turns": list(result.turns),
        "model": result.model,
        "failed": list(result.failed),
    }


def discussion(started: RunStarted, step: Step, candidate: int, prompt: str) -> OpenDiscussion:
    """The step's discussion, on the candidate's model where providers are compared."""
    comparison = step.compare_providers
    model = comparison.models[candidate] if comparison else ""
    return OpenDiscussion(
        workspace=started.workspace,
        mode=Mode(step.mode),
        participants=_participants(step.participants, model),
        topic=prompt,
        parameters=_parameters(step.options, Mode(step.mode)),
        options=_wishes(step.options, Mode(step.mode)),
        by=started.started_by,
        run=started.run,
    )


def judgement(started: RunStarted, step: Step, prompt: str) -> OpenDiscussion:
    """The discussion with the one who judges the candidates."""
    assert step.compare_providers is not None
    judge = step.compare_providers.judge or Speaker()
    return OpenDiscussion(
        workspace=started.workspace,
        mode=Mode.SINGLE,
        participants=_participants([judge], ""),
        topic=prompt,
        by=started.started_by,
        run=started.run,
    )


def title(started: RunStarted, step: Step, candidate: int) -> str:
    """What the discussion is called in lists."""
    told = f"{started.definition.title}: {step.title or step.name.replace('_', ' ')}"
    if candidate == JUDGE:
        return f"{told}, the judge"
    comparison = step.compare_providers
    return f"{told}, on {comparison.models[candidate]}" if comparison else told


def _participants(speakers: list[Speaker], model: str) -> list[WantedParticipant]:
    found = [
        WantedParticipant(
            persona=one.persona or None,
            model=(not one.role and model) or one.model or None,
            role=Role(one.role),
        )
        for one in speakers
    ]
    return found if speakers else [WantedParticipant(model=model)]


def _wishes(options: Mapping[str, Any], mode: Mode) -> Options:
    told = {name: options[name] for name in _WISHES if name in options}
    if mode is Mode.CONSENSUS and "seed" in options:
        told["seed"] = options["seed"]
    return Options(**told)


def _parameters(options: Mapping[str, Any], mode: Mode) -> Parameters | None:
    told = {name: options[name] for name in _PARAMETERS if name in options}
    if mode is not Mode.CONSENSUS and "seed" in options:
        told["seed"] = options["seed"]
    longest = int(options.get("max_completion_tokens", 0))
    return Parameters(max_completion_tokens=longest, **told) if told or longest else None
