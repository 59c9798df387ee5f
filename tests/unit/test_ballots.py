"""A ballot is read for what it means, or refused with what is wrong with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discussion.consensus.ballots import BadBallot, read, schema

SHOWN = {"A": "ada", "B": "bob", "C": "cyd"}
PLAIN = {
    "ranking": ["B", "A", "C"],
    "scores": {"A": 6, "B": 9, "C": 2},
    "objections": [
        {"draft": "C", "claim": "It is wrong.", "evidence": "2 + 2 = 4", "severity": "blocking"}
    ],
}


def test_a_ballot_as_it_was_asked_for() -> None:
    ballot = read(json.dumps(PLAIN), "eve", SHOWN)

    assert ballot.ranking == ("bob", "ada", "cyd")
    assert ballot.scores == {"ada": 6, "bob": 9, "cyd": 2}
    assert [(each.draft, each.severity) for each in ballot.objections] == [("cyd", "blocking")]


@pytest.mark.parametrize(
    "said",
    [
        "```json\n{}\n```",
        "Having read all of them {carefully}, I vote:\n\n{}\n\nThat is my vote.",
        '{{"note": "first a thought"}} and then {}',
        '{{"ranking": ["A"]}} No, wait. {}',
    ],
)
def test_what_is_around_it_does_not_matter(said: str) -> None:
    text = said.replace("{}", json.dumps(PLAIN)).replace("{{", "{").replace("}}", "}")

    assert read(text, "eve", SHOWN).ranking == ("bob", "ada", "cyd")


@pytest.mark.parametrize("letter", ["Draft B", "b", "draft-b", "Answer B", "B.", " B "])
def test_a_letter_may_be_written_in_many_ways(letter: str) -> None:
    text = json.dumps({"ranking": [letter, "A", "C"]})

    assert read(text, "eve", SHOWN).ranking == ("bob", "ada", "cyd")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("I like B best.", "no JSON object"),
        ('{"ranking": "B, A, C"}', "not a list"),
        ('{"ranking": ["B", "A"]}', "leaves out C"),
        ('{"ranking": ["B", "B", "A", "C"]}', "twice"),
        ('{"ranking": ["B", "A", "C", "D"]}', "no draft 'D'"),
        ('{"ranking": [1, 2, 3]}', "no draft"),
        ("{" * 5000, "no JSON object"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(said: str, wrong: str) -> None:
    with pytest.raises(BadBallot, match=wrong):
        read(said, "eve", SHOWN)


def test_odd_scores_and_objections_are_passed_over() -> None:
    odd = PLAIN | {
        "scores": {"A": 11, "B": "nine", "C": True, "Z": 3},
        "objections": ["no", {"draft": "Z", "claim": "x"}, {"draft": "A", "claim": "  "}],
    }

    ballot = read(json.dumps(odd), "eve", SHOWN)

    assert (ballot.scores, ballot.objections) == ({}, ())


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ).map(json.dumps)
)
def test_whatever_is_said_it_is_counted_or_refused(said: str) -> None:
    try:
        ballot = read(said, "eve", SHOWN)
    except BadBallot:
        return
    assert sorted(ballot.ranking) == ["ada", "bob", "cyd"]


def test_the_schema_names_the_letters() -> None:
    assert schema(["A", "B"])["properties"]["ranking"]["items"]["enum"] == ["A", "B"]
