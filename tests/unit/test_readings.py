"""What a chair and an author answer is read for what it says, and believed only where it names its
sources.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.discussion.consensus import revisions, synthesis
from services.discussion.consensus.revisions import Changed, Kept

SHOWN = {"A": "ada", "B": "bob"}


def point(text: str, *drafts: str) -> dict[str, Any]:
    return {"text": text, "drafts": list(drafts)}


# --- The synthesis ----------------------------------------------------------------------------


def read(**parts: list[Any] | str) -> synthesis.Synthesis:
    found = synthesis.read(f"Here it is:\n```json\n{json.dumps(parts)}\n```", SHOWN)
    assert found is not None
    return found


def test_every_statement_names_the_drafts_it_is_from() -> None:
    found = read(
        answer=[point("Drink tea.", "A", "Draft B"), point("And coffee.", "b")],
        agreed=[point("It is warm.", "A", "B")],
        contested=[point("When.", "A", "B")],
        unique=[point("With milk.", "B")],
        left_out=[point("With rum.", "A")],
    )

    assert found.text == "Drink tea.\n\nAnd coffee."
    assert [each.drafts for each in found.agreed] == [["ada", "bob"]]
    assert [each.text for each in found.contested] == ["When."]
    assert [(each.text, each.drafts) for each in found.unique] == [("With milk.", ["bob"])]
    assert [each.text for each in found.left_out] == ["With rum."]
    assert found.uncited == 0


def test_what_is_from_no_draft_is_left_out_of_every_part_and_counted() -> None:
    found = read(
        answer=[point("Drink tea.", "A"), point("Drink rum."), "Drink."],
        agreed=[point("It is hot.", "C")],
        contested=[point("When.", "")],
        unique=[{"text": "With milk.", "drafts": None}],
    )

    assert found.text == "Drink tea."
    assert found.points == ()
    assert found.uncited == 5


def test_what_one_draft_says_alone_is_agreed_on_by_nobody() -> None:
    found = read(answer=[point("Tea.", "A", "B")], agreed=[point("At four.", "A", "A")])

    assert found.agreed == ()
    assert [each.text for each in found.unique] == ["At four."]


def test_without_an_answer_what_is_agreed_and_unique_is_the_answer() -> None:
    found = read(agreed=[point("Tea.", "A", "B")], unique=[point("At four.", "A")])

    assert found.text == "Tea.\n\nAt four."


@pytest.mark.parametrize(
    "said",
    ["", "Drink tea.", "{}", '{"answer": "Drink tea."}', '{"answer": [{"text": "Tea."}]}', "[1]"],
)
def test_what_names_no_source_at_all_is_no_synthesis(said: str) -> None:
    assert synthesis.read(said, SHOWN) is None


# --- A revision -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"cites": ["o1"], "draft": " New. "}, Changed("New.", ("o1",))),
        ({"cites": ["o2", "o9", "o2", 3], "draft": "New."}, Changed("New.", ("o2",))),
        ({"cites": "o1", "draft": "New."}, Changed("New.", ("o1",))),
        ({"cites": ["o9"], "draft": "New."}, Kept("It named no objection that it was shown")),
        ({"cites": [], "draft": "New."}, Kept("It named no objection that it was shown")),
        ({"draft": "New."}, Kept("It named no objection that it was shown")),
        ({"cites": ["o1"], "draft": ""}, Kept("It stays with its draft.")),
        ({"note": "Hm."}, Kept("Its answer to the objections could not be read.")),
    ],
)
def test_a_draft_is_changed_for_an_objection_that_was_shown(
    said: dict[str, Any], meant: Changed | Kept
) -> None:
    found = revisions.read(f"Well. {json.dumps(said)}", {"o1", "o2"})

    if isinstance(meant, Kept):
        assert isinstance(found, Kept)
        assert found.reason.startswith(meant.reason)
    else:
        assert found == meant
