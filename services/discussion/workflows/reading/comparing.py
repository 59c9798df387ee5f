"""A step that is done on several models, and who chooses among what they said."""

from __future__ import annotations

from typing import get_args

from contracts.workflow_events import Comparison, Gate, Rule
from services.discussion.workflows.document import Fields
from services.discussion.workflows.reading import speakers
from services.discussion.workflows.reading.speakers import PANEL
from services.discussion.workflows.reading.values import Values, at, choose, has

GATES: tuple[str, ...] = get_args(Gate)


RULES: tuple[str, ...] = get_args(Rule)


def comparison(read: Values, fields: Fields) -> Comparison | None:
    if not has(fields, "compare_providers"):
        return None
    told = read.fields(
        fields.fields["compare_providers"][1],
        "compare_providers",
        ("models", "gate", "rule", "judge", "criteria"),
    )
    if told is None:
        return None
    models: list[str] = []
    for item in read.items(told, "models", PANEL):
        models.append(read.one_line(item))
        speakers.check_model(read, item, models[-1])
    if len(models) < 2:
        read.say(told.place, "`compare_providers` needs at least two `models`: list them.")
    gate = read.line(told, "gate")
    if gate not in GATES:
        place = at(told, "gate")
        read.say(place, f"Say who chooses: `gate: {'`, `gate: '.join(GATES)}`.")
    rule = read.line(told, "rule")
    if gate == "rule" and rule not in RULES:
        read.say(at(told, "rule"), f"Say which rule chooses. {choose(rule, RULES)}")
    judge = speakers.speaker(read, told.fields["judge"][1]) if has(told, "judge") else None
    if gate == "judge" and judge is None:
        read.say(at(told, "gate"), "Say who judges: `judge: ines-duarte`, or a `provider/model`.")
    for name in ("rule", "judge"):
        if has(told, name) and gate in GATES and gate != name:
            read.say(at(told, name), f"`{name}` goes with `gate: {name}`: remove one of them.")
    if gate not in GATES:
        return None
    return Comparison(
        models=models,
        gate=gate,  # type: ignore[arg-type]  # it is one of GATES
        rule=rule,
        judge=judge,
        criteria=read.prose(told, "criteria"),
    )
