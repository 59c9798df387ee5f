"""The prompts of steps: what they may speak of, and that nobody's text breaks out of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.discussion.workflows import templates
from services.discussion.workflows.templates import CannotRender, is_true, render

THERE: dict[str, Any] = {
    "inputs": {"guest": "Ada", "empty": ""},
    "steps": {
        "ideas": {
            "text": "Assam\nDarjeeling",
            "state": "completed",
            "outcome": "",
            "turns": [{"name": "Riley", "text": "Assam"}, {"name": "Morgan", "text": "Darjeeling"}],
        }
    },
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Tea for {{ inputs.guest }}?", "Tea for Ada?"),
        ("{{ inputs['guest'] | upper }}", "ADA"),
        ("{{ inputs.empty | default('nobody') }}", "nobody"),
        ("{{ steps.ideas.text | quote }}", "> Assam\n> Darjeeling"),
        (
            "{% for turn in steps.ideas.turns %}{{ loop.index }}{{ turn.name }} {% endfor %}",
            "1Riley 2Morgan ",
        ),
        ("{% if steps.ideas.state == 'completed' %}yes{% else %}no{% endif %}", "yes"),
        ("{{ steps.ideas.text | excerpt(8) }}", "Assam\nDa …"),
        ("{{ (steps.ideas.turns | first).text }}", "Assam"),
        ("{{ steps.ideas.turns | length }}", "2"),
        ("a < b & c", "a < b & c"),
    ],
)
def test_what_a_prompt_can_say(template: str, expected: str) -> None:
    assert templates.complaints(template) == []
    assert render(template, THERE) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ inputs.nobody }}",
        "{{ steps.cake.text }}",
        "{{ nobody }}",
        "{{ steps.ideas.keys }}",
        "{{ inputs.guest.__class__ }}",
        "{{ inputs['__class__'].mro }}",
        "{% for letter in inputs.guest %}{{ letter }}{% endfor %}",
    ],
)
def test_what_is_not_there_is_an_error_and_never_an_empty_place(template: str) -> None:
    with pytest.raises(CannotRender):
        render(template, THERE)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ inputs.guest.format('x') }}",
        "{% for a in range(9) %}{% endfor %}",
        "{{ lipsum() }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 2 ** 999999 }}",
        "{{ '%1000000d' % 1 }}",
        "{{ inputs.guest ~ inputs.guest }}",
        "{{ inputs.guest + inputs.guest }}",
        "{{ inputs.guest | attr('__class__') }}",
        "{{ inputs.guest | replace('', steps.ideas.text) }}",
        "{{ inputs.guest | center(100000000) }}",
        "{% set x = 1 %}",
        "{% macro x() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% with x = 1 %}{% endwith %}",
        "{% filter upper %}x{% endfilter %}",
        "{% for a in x recursive %}{% endfor %}",
        "{{ [1] * 9 }}",
        "{{ inputs.guest" + " | quote" * 200 + " }}",
        "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
        "x" * 30_000,
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
)
def test_what_a_prompt_cannot_say_is_refused_before_it_is_kept(template: str) -> None:
    found = templates.complaints(template)
    assert found
    assert all(complaint.message for complaint in found)
    with pytest.raises(CannotRender):
        render(template, THERE)


def test_a_prompt_is_bounded_in_size_and_time() -> None:
    long = {"inputs": {"long": "x" * 80_000}, "steps": {}}
    with pytest.raises(CannotRender, match="excerpt"):
        render("{{ inputs.long }}{{ inputs.long }}", long)

    many = {"inputs": {"long": "x y\n" * 20_000}, "steps": {"a": {"turns": list(range(64))}}}
    heavy = "{% if inputs.long" + " | title" * 90 + " == '' %}{% endif %}"
    loops = "{% for a in steps.a.turns %}{% for b in steps.a.turns %}" + heavy + "{% endfor %}" * 2
    began = time.process_time()
    with pytest.raises(CannotRender, match="too long"):
        render(loops, many)
    assert time.process_time() - began < 60

    with pytest.raises(CannotRender, match="64 items"):
        render(
            "{% for a in steps.a.turns %}{% endfor %}", {"steps": {"a": {"turns": list(range(65))}}}
        )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("steps.ideas.state == 'completed'", True),
        ("inputs.guest == 'Bob'", False),
        ("inputs.guest and not inputs.empty", True),
        ("steps.ideas.turns | length > 5", False),
    ],
)
def test_a_condition_is_an_expression_over_the_same_names(expression: str, expected: bool) -> None:
    assert is_true(expression, THERE) is expected


@settings(max_examples=200)
@given(st.text(max_size=60) | st.text(alphabet="{}%| inputs.guestfor()[]*+-'\"_", max_size=40))
def test_no_template_breaks_out(template: str) -> None:
    """Whatever is written is refused, or says a text; nothing else comes of it."""
    found = templates.complaints(template)
    templates.mentions(template)
    try:
        said = render(template, THERE)
    except CannotRender:
        return
    assert not found
    assert len(said) <= templates.LONGEST


@given(st.text(max_size=200))
def test_what_somebody_said_is_never_read_as_a_template(said: str) -> None:
    context = {"inputs": {"guest": said}, "steps": {}}
    assert render("{{ inputs.guest }}", context) == said
