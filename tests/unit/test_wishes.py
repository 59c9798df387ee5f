"""What becomes of a wish: granted, left out with a note, or refused; never lost without a word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.attempts import Message, Parameters, RunAttempt
from contracts.providers import PROVIDERS, Provider
from contracts.wishes import Wishes, judged
from services.provider_adapter.dialects import SPEECHES
from services.provider_adapter.wishes import Unsayable, notes

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "rain"}}
WISHES: dict[str, Any] = {
    "temperature": 0.123,
    "top_p": 0.987,
    "stop": ["halt!"],
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"title": "shape"}}},
    "tools": [TOOL],
    "tool_choice": "required",
    "reasoning_effort": "low",
    "seed": 4711,
}
MODELS = [
    (row, model)
    for row in PROVIDERS.values()
    for model in ("unheard-of", *(known.id for known in row.models))
]


def asked(model: str, **wishes: Any) -> Wishes:
    provider, _, name = model.partition("/")
    return judged(Parameters(max_completion_tokens=9, **wishes), PROVIDERS[provider], name)


def body(row: Provider, model: str, parameters: Parameters) -> bytes:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    request = RunAttempt(
        workspace="w",
        discussion="d",
        turn="t",
        attempt="a",
        provider=row.name,
        endpoint="https://api.test",
        model=model,
        key=None,
        messages=[Message(role="user", content="Rain?")],
        parameters=parameters,
        expires_at=noon,
        deadline=noon,
    )
    return SPEECHES[row.dialect].to_wire(request, row)[2]


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize(("row", "model"), MODELS, ids=lambda it: getattr(it, "name", it))
def test_no_wish_is_lost_without_a_word(row: Provider, model: str, wish: str) -> None:
    parameters = Parameters(max_completion_tokens=9, **{wish: WISHES[wish]})
    verdict = judged(parameters, row, model)
    if verdict.refused:
        assert not verdict.notes
        with pytest.raises(Unsayable):
            body(row, model, parameters)
        return
    bare = Parameters(max_completion_tokens=9)
    differs = body(row, model, parameters) != body(row, model, bare)
    assert differs is not bool(verdict.notes), verdict


@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_a_fixed_temperature_is_left_out_with_a_note(name: str) -> None:
    wishes = asked("kimi/kimi-k2.6", **{name: 0.4})
    assert wishes.granted == {}
    assert wishes.notes == [f"{name} was left out: kimi-k2.6 takes only its own."]


def test_one_of_two_ways_to_sample_is_left_out_with_a_note() -> None:
    wishes = asked("anthropic/claude-haiku-4-5", temperature=0.2, top_p=0.9)
    assert wishes.granted == {"temperature": 0.2}
    assert wishes.notes == ["top_p was left out: Anthropic takes it or a temperature, not both."]


def test_what_a_provider_does_not_know_is_left_out_with_a_note() -> None:
    assert asked("anthropic/claude-opus-5-5", seed=7).notes == [
        "seed was left out: Anthropic does not take it."
    ]


@pytest.mark.parametrize(
    ("model", "effort", "note"),
    [
        ("kimi/kimi-k3", "low", ""),
        ("kimi/kimi-k3", "none", "kimi-k3 knows low, high, max, not none."),
        ("kimi/kimi-k2.6", "low", "kimi-k2.6 does not know it."),
        ("gemini/gemini-2.5-pro", "low", "gemini-2.5-pro does not know it."),
        ("gemini/gemini-3.8-flash", "low", ""),
        ("gemini/gemini-9-new", "none", "gemini-9-new knows minimal, low, medium, high, not none."),
        ("anthropic/claude-haiku-4-5", "low", "claude-haiku-4-5 does not know it."),
        ("openai/gpt-6.1-sol", "none", ""),
    ],
)
def test_a_model_is_told_how_hard_to_think_only_in_words_it_knows(
    model: str, effort: str, note: str
) -> None:
    wishes = asked(model, reasoning_effort=effort)
    assert wishes.notes == ([f"reasoning_effort was left out: {note}"] if note else [])
    assert wishes.granted == ({} if note else {"reasoning_effort": effort})


def test_what_an_asker_relies_on_is_refused_with_the_reason() -> None:
    assert asked("xai/grok-4.7", stop=["x"]).refused == {
        "stop": "stop cannot be asked of xAI's grok-4.7: its reasoning models answer 400 to stop "
        "sequences."
    }
    assert asked("xai/grok-4.20-non-reasoning", stop=["x"]).refused == {}
    assert asked("kimi/kimi-k2.6", tool_choice="required").refused == {
        "tool_choice": "tool_choice required cannot be asked of Kimi (Moonshot AI)'s kimi-k2.6: it "
        "answers 400 to that while it thinks."
    }
    assert asked("kimi/kimi-k2.6", tool_choice="auto").granted == {"tool_choice": "auto"}
    assert (
        "response_format"
        in asked("anthropic/claude-opus-5-5", response_format={"type": "json_object"}).refused
    )


def test_a_bound_of_the_answer_is_no_wish() -> None:
    assert asked("kimi/kimi-k2.6") == Wishes()


def test_the_notes_are_about_what_was_really_left_out() -> None:
    request = RunAttempt(
        workspace="w",
        discussion="d",
        turn="t",
        attempt="a",
        provider="kimi",
        endpoint="https://api.test",
        model="kimi-k2.6",
        key=None,
        messages=[],
        parameters=Parameters(max_completion_tokens=9, temperature=0.1, seed=3),
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
        deadline=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert notes(request, PROVIDERS["kimi"]) == [
        "temperature was left out: kimi-k2.6 takes only its own."
    ]
