"""What people may send about workflows and their runs, checked to the letter."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.ids import is_id
from contracts.workflow_events import Budget
from contracts.workflows import RunState
from services.edge.bodies import Body, Name

INPUT = 50_000
"""Characters of one input."""

Value = Annotated[str, Field(max_length=INPUT)]


class WorkflowBody(Body):
    """A workflow's definition: as text, or as JSON."""

    source: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    """YAML or JSON text; what is wrong with it is told by line and column."""
    definition: dict[str, Any] | None = None
    """The same as a JSON object; lines are then those of the object as it is printed, indented."""

    @model_validator(mode="after")
    def _one_of_them(self) -> WorkflowBody:
        if (self.source is None) == (self.definition is None):
            raise PydanticCustomError("not_one", "has either source or definition")
        return self

    def text(self) -> str:
        """The definition's text."""
        if self.source is not None:
            return self.source
        return json.dumps(self.definition, indent=2, ensure_ascii=False)


class RunBudgetBody(Body):
    """What may be spent at most."""

    usd: Annotated[Decimal, Field(gt=0, le=1_000_000, strict=False)] | None = None
    tokens: Annotated[int, Field(gt=0, le=1_000_000_000)] | None = None

    @model_validator(mode="after")
    def _something(self) -> RunBudgetBody:
        if self.usd is None and self.tokens is None:
            raise PydanticCustomError("no_budget", "says usd, tokens, or both")
        return self

    def budget(self) -> Budget:
        return Budget(usd=self.usd, tokens=self.tokens)


class RunBody(Body):
    """A run to be started."""

    inputs: Annotated[dict[str, Value], Field(max_length=50)] = {}
    """What the workflow asks for, by name."""
    budget: RunBudgetBody | None = None
    """Left out: the workflow's own, if it has one."""


class ChooseBody(Body):
    """A person's choice at a gate."""

    choose: Annotated[int, Field(ge=0, le=63)] | Name
    """The candidate's number, or its model."""


class ForkRunBody(Body):
    """Where another run begins."""

    step: Name
    """This step, and what comes after it, is done anew; all else is kept."""
    inputs: Annotated[dict[str, Value], Field(max_length=50)] | None = None
    """Left out: as they were."""


def _id(text: str) -> str:
    if text and not is_id(text):
        raise PydanticCustomError("not_a_cursor", "is not a cursor that was given out here")
    return text


class RunsQuery(BaseModel):
    """Which runs."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    workflow: Annotated[str, Field(max_length=80)] = ""
    """Slug or id."""
    state: RunState | None = None
    cursor: Annotated[str, AfterValidator(_id)] = ""
    """`next_cursor` of the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
