"""A definition is read, and everything that is wrong with it is told at once, line by line.

Pure. What comes out is sound: every name exists, nothing waits for itself, every template can be
filled in once the steps before it have ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.workflow_events import Definition
from services.discussion.workflows import document
from services.discussion.workflows.document import Fault
from services.discussion.workflows.reading.speakers import MODES
from services.discussion.workflows.reading.values import Values
from services.discussion.workflows.reading.whole import definition

__all__ = ["MODES", "Unsound", "read"]


class Unsound(Exception):
    """The definition is not taken; here is everything that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            "; ".join(f"line {f.line}, column {f.column}: {f.message}" for f in faults)
        )
        self.faults = sorted(faults)


def read(source: str) -> Definition:
    """The definition in `source`; Unsound with every fault in it."""
    tree, faults = document.read(source)
    if tree is None or faults:
        raise Unsound(faults)
    values = Values(source)
    found = definition(values, tree)
    if values.faults or found is None:
        raise Unsound(values.faults)
    return found
