"""A workflow's definition: what is taken, and how exactly it is said what is not."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.workflow_events import Comparison, Definition, InputField, Speaker, Step
from services.discussion.workflows import graph, reading
from services.discussion.workflows.document import Fault
from services.discussion.workflows.reading import Unsound, read

TEA = """\
slug: tea
title: Which tea?
inputs:
  - name: guest
    description: Who comes.
  - {name: hour, default: four o'clock}
steps:
  - name: ideas
    personas: [riley-engstrom, morgan-castellano]
    prompt: |
      Which tea for {{ inputs.guest }} at {{ inputs.hour }}?
  - name: choice
    mode: single
    participants: [{persona: ines-duarte, model: kimi/k2}]
    after: [ideas]
    prompt: "{% for turn in steps.ideas.turns %}{{ turn.name }}: {{ turn.text }}{% endfor %}"
    budget: {usd: 0.25, tokens: 8000}
"""


def faults(source: str) -> list[tuple[int, int, str]]:
    with pytest.raises(Unsound) as caught:
        read(source)
    return [(fault.line, fault.column, fault.message) for fault in caught.value.faults]


def told(source: str) -> list[Fault]:
    """What is said of it; nothing if it is sound."""
    try:
        read(source)
    except Unsound as unsound:
        return list(unsound.faults)
    return []


def one_step(*lines: str, inputs: str = "") -> str:
    more = "".join(f"    {line}\n" for line in lines)
    return f"slug: tea\ntitle: Tea\n{inputs}steps:\n  - name: tea\n{more}"


def test_a_sound_definition_is_read_whole() -> None:
    definition = read(TEA)

    assert definition.inputs == [
        InputField(name="guest", description="Who comes."),
        InputField(name="hour", required=False, default="four o'clock"),
    ]
    ideas, choice = definition.steps
    assert ideas.mode == "parallel"
    assert ideas.participants == [
        Speaker(persona="riley-engstrom"),
        Speaker(persona="morgan-castellano"),
    ]
    assert choice.participants == [Speaker(persona="ines-duarte", model="kimi/k2")]
    assert choice.after == ["ideas"]
    assert choice.budget is not None
    assert (str(choice.budget.usd), choice.budget.tokens) == ("0.25", 8000)


def test_the_same_as_json_is_the_same() -> None:
    as_json = {
        "slug": "tea",
        "title": "Tea \U0001f375",
        "steps": [{"name": "tea", "personas": ["riley-engstrom"], "prompt": "Tea?\n"}],
    }
    assert read(json.dumps(as_json, indent="\t")) == read(json.dumps(as_json, ensure_ascii=False))


def test_all_faults_are_told_at_once_each_with_its_place() -> None:
    source = """\
slug: Tea Time
title: 2026
inputs: [guest, guest]
steps:
  - name: ideas
    personas: [riley-engstrom]
    colour: red
    after: [choice]
    prompt: |
      For {{ inputs.gest }}:

      {{ steps.choice.text | uper }}
  - name: choice
    mode: singel
    personas: [riley-engstrom]
    after: ideas
    prompt: ""
"""
    found = faults(source)

    assert [(line, column) for line, column, _ in found] == [
        (1, 7),
        (2, 8),
        (2, 8),
        (3, 17),
        (7, 5),
        (8, 13),
        (10, 21),
        (12, 30),
        (14, 11),
        (17, 13),
    ]
    told = " ".join(message for *_, message in found)
    assert "Did you mean 'guest'?" in told
    assert "Did you mean `upper`?" in told
    assert "Did you mean 'single'?" in told
    assert "ideas → choice → ideas" in told


@pytest.mark.parametrize(
    ("source", "line", "column", "word"),
    [
        ("", 1, 1, "empty"),
        ("- 1", 1, 1, "name: value"),
        ("slug: tea\ntitle: a: b", 2, 9, "quotes"),
        ("slug: tea\n\ttitle: x", 2, 1, "spaces"),
        ("slug: tea\nslug: tea", 2, 1, "keep one"),
        ("a: &x 1\nb: *x", 1, 4, "write it out"),
        ("slug: !!python/name:os.system x", 1, 7, "remove it"),
        ("[" * 500, 1, 1, "flatten"),
        ("slug: tea\n---\nslug: tea", 2, 1, "another document"),
        ("slug: te\x00a", 1, 1, "remove it"),
    ],
)
def test_what_is_no_definition_at_all_is_told_too(
    source: str, line: int, column: int, word: str
) -> None:
    found = faults(source)
    assert any((at, word in told) == (line, True) for at, _, told in found), found
    assert found[0][:2] == (line, column) or len(found) > 1


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["prompt: x"], "Nobody takes part"),
        (["personas: [a, b]", "mode: single", "prompt: x"], "has one participant"),
        (["personas: [a]"], "no `prompt`"),
        (["personas: [a]", "prompt: yes"], "put it into quotes"),
        (["models: [kimi]", "prompt: x"], "provider/model"),
        (["personas: a", "prompt: x"], "is a list"),
        (["personas: [a]", "prompt: '{{ 9 ** 9 }}'"], "cannot use"),
        (["personas: [a]", "prompt: '{{ inputs.x.y() }}'"], "a call"),
        (["personas: [a]", "prompt: '{% set x = 1 %}'"], "`set`"),
        (["personas: [a]", "prompt: '{{ steps.tea.text }}'"], "speak of itself"),
        (["personas: [a]", "prompt: '{{ x }}'"], "inputs.x"),
        (["personas: [a]", "prompt: '{{ unclosed'"], "cannot be read"),
        (["personas: [a]", "prompt: x", "when: 'inputs.y'"], "no input 'y'"),
        (["personas: [a]", "prompt: x", "budget: {usd: -1}"], "above 0"),
        (["personas: [a]", "prompt: x", "budget: {}"], "says `usd`"),
        (["personas: [a]", "prompt: x", "after: [cake]"], "no step 'cake'"),
        (["personas: [a]", "prompt: x", "options: {temperature: 9}"], "from 0 to 2"),
        (
            ["personas: [a]", "prompt: x", "compare_providers: {models: [a/b, c/d]}"],
            "Say who chooses",
        ),
        (
            ["personas: [a]", "prompt: x", "compare_providers: {models: [a/b], gate: person}"],
            "at least two",
        ),
        (
            ["personas: [a]", "prompt: x", "compare_providers: {models: [a/b, c/d], gate: rule}"],
            "cheapest",
        ),
        (
            ["personas: [a]", "prompt: x", "compare_providers: {models: [a/b, c/d], gate: judge}"],
            "who judges",
        ),
    ],
)
def test_each_fault_says_what_to_do(lines: list[str], word: str) -> None:
    found = faults(one_step(*lines))
    assert any(word in told for *_, told in found), found


def test_providers_may_be_compared_without_naming_anybody_else() -> None:
    step = read(
        one_step(
            "prompt: Tea?",
            "compare_providers:",
            "  models: [kimi/k2, openai/gpt-5]",
            "  gate: judge",
            "  judge: ines-duarte",
        )
    ).steps[0]

    assert step.participants == []
    assert step.compare_providers == Comparison(
        models=["kimi/k2", "openai/gpt-5"], gate="judge", judge=Speaker(persona="ines-duarte")
    )


# --- Whatever is written ---------------------------------------------------------------------


@settings(max_examples=200)
@given(st.text(max_size=200) | st.text(alphabet="slug:title-[]{}&*!|>'\"# \n%", max_size=80))
def test_no_text_breaks_the_reader(source: str) -> None:
    for fault in told(source):
        assert fault.line >= 1
        assert fault.column >= 1
        assert fault.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["tea", "kimi/k2", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["slug", "title", "steps", "name", "prompt", "personas", "after", "models"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(_JSON, _JSON)
def test_no_tree_breaks_the_reader(steps: object, more: object) -> None:
    source = json.dumps({"slug": "tea", "title": "Tea", "steps": steps, "inputs": more}, indent=1)
    lines = source.splitlines()
    for fault in told(source):
        assert 1 <= fault.line <= len(lines)
        assert fault.column <= len(lines[fault.line - 1]) + 1


_SPEECH = st.text(
    alphabet=st.characters(categories=("L", "N", "P", "S"), exclude_characters="{}") | st.just(" "),
    min_size=1,
    max_size=40,
).filter(lambda text: text.strip() == text and text != "")


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    names = draw(
        st.lists(st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z"), min_size=1, max_size=5, unique=True)
    )
    steps = [
        Step(
            name=name,
            mode="single",
            prompt=draw(_SPEECH),
            participants=[Speaker(persona="riley-engstrom")],
            after=draw(st.lists(st.sampled_from(names[:at]), unique=True)) if at else [],
        )
        for at, name in enumerate(names)
    ]
    return Definition(slug="tea", title=draw(_SPEECH.filter(str.isprintable)), steps=steps)


@settings(max_examples=100)
@given(definitions())
def test_what_is_sound_comes_back_as_it_was(definition: Definition) -> None:
    document = msgspec.to_builtins(definition)
    for indent in (None, 2):
        assert read(json.dumps(document, indent=indent, ensure_ascii=False)) == definition
        assert read(json.dumps(document, indent=indent)) == definition


@st.composite
def orders(draw: st.DrawFn) -> dict[str, list[str]]:
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
    return {name: draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) for name in names}


@given(orders())
def test_a_circle_is_found_exactly_where_there_is_one(order: dict[str, list[str]]) -> None:
    circles = graph.circles(order)

    for circle in circles:
        for one, following in zip(circle, [*circle[1:], circle[0]], strict=True):
            assert following in order[one]
    in_order: list[str] = []
    while ready := [n for n in order if n not in in_order and set(order[n]) <= set(in_order)]:
        in_order += ready
    assert (len(in_order) == len(order)) == (circles == [])


def test_every_mode_there_is_may_be_named() -> None:
    assert set(reading.MODES) >= {"single", "parallel"}


def test_a_number_of_any_length_is_told_and_not_reckoned_with() -> None:
    source = f"""\
slug: tea
title: Tea
budget: {{ tokens: {"1" * 5000} }}
steps: [{{ name: tea, personas: [riley-engstrom], prompt: Tea }}]
"""
    assert faults(source) == [(3, 19, "`tokens` is a whole number above 0.")]


@pytest.mark.parametrize("number", ["FFFFFFFF", "00110000"])
def test_a_character_beyond_all_characters_is_told_with_its_line(number: str) -> None:
    source = f'slug: tea\ntitle: "Tea \\U{number}"\n'

    ((line, column, message),) = faults(source)

    assert (line, column) == (2, 13)
    assert "character" in message
