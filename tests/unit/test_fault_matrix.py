"""docs/fault-matrix.md tells the truth: every test that it names is there, every line has one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from local.home import CHECKOUT

LAST = 82
Row = tuple[int, list[str], str]


def rows() -> list[Row]:
    """Number, tests, and what is said instead of a test, of each line."""
    found: list[Row] = []
    for line in (CHECKOUT / "docs" / "fault-matrix.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].isdigit():
            said = cells[4]
            found.append((int(cells[0]), re.findall(r"`(test_\w+)`", said), said))
    return found


@cache
def names() -> set[str]:
    """The names of all tests there are."""
    return {
        node.name
        for file in Path(CHECKOUT, "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def test_every_fault_has_its_line_and_in_order() -> None:
    assert [number for number, _, _ in rows()] == list(range(1, LAST + 1))


@pytest.mark.parametrize(("number", "named", "said"), rows(), ids=lambda value: str(value)[:3])
def test_a_line_names_tests_that_are_there_or_says_why_not(
    number: int, named: list[str], said: str
) -> None:
    assert named or said.startswith("– "), f"line {number} has neither a test nor a reason"
    assert set(named) <= names(), f"line {number}: {set(named) - names()} is not there"


def test_every_test_that_the_page_names_is_there() -> None:
    page = (CHECKOUT / "docs" / "fault-matrix.md").read_text()
    assert set(re.findall(r"`(test_\w+)`", page)) <= names()
