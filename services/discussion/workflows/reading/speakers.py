"""Who takes part in a step, and whether that fits its mode."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.modes import Mode
from contracts.workflow_events import Comparison, Speaker
from services.discussion.modes import PROCESSES
from services.discussion.workflows.document import Fields, Text, Tree
from services.discussion.workflows.reading.values import MODEL, SLUG, Values, at, choose, has

PANEL = 8

MODES = tuple(mode.value for mode in PROCESSES)

ROLES = {"moderator": "debate", "judge": "compare", "chair": "consensus"}
"""Who else there may be, and in which mode."""


def participants(read: Values, fields: Fields) -> list[Speaker]:
    found: list[Speaker] = []
    for key in ("personas", "models"):
        for item in read.items(fields, key, PANEL):
            text = read.one_line(item)
            if key == "models":
                check_model(read, item, text)
            elif text and SLUG.match(text) is None:
                read.say(item.place, "A persona is named by its slug, e.g. riley-engstrom.")
            found.append(Speaker(model=text) if key == "models" else Speaker(persona=text))
    found += [speaker(read, item) for item in read.items(fields, "participants", PANEL)]
    members = len(found)
    for role in ROLES:
        if has(fields, role):
            other = speaker(read, fields.fields[role][1])
            found.append(Speaker(persona=other.persona, model=other.model, role=role))
    if members > PANEL:
        told = f"A discussion has {PANEL} participants at most, not {members}: name fewer."
        read.say(fields.place, told)
    return found


def speaker(read: Values, item: Tree) -> Speaker:
    if isinstance(item, Text):
        text = read.one_line(item)
        return Speaker(model=text) if "/" in text else Speaker(persona=text)
    fields = read.fields(item, "a participant", ("persona", "model"))
    if fields is None:
        return Speaker()
    persona, model = read.line(fields, "persona"), read.line(fields, "model")
    if not persona and not model:
        read.say(fields.place, "A participant names a `persona`, a `model`, or both.")
    if model:
        check_model(read, fields.fields["model"][1], model)
    return Speaker(persona=persona, model=model)


def check_model(read: Values, item: Tree, model: str) -> None:
    if model and MODEL.match(model) is None:
        read.say(item.place, "A model is `provider/model`, e.g. kimi/k2.")


def mode_of(read: Values, fields: Fields, participants: Sequence[Speaker]) -> str:
    mode = read.line(fields, "mode")
    if not mode:
        members = [one for one in participants if not one.role]
        return Mode.SINGLE.value if len(members) <= 1 else Mode.PARALLEL.value
    if mode not in MODES:
        read.say(at(fields, "mode"), f"There is no mode {mode[:40]!r}. {choose(mode, MODES)}")
    return mode


def check_fit(
    read: Values,
    fields: Fields,
    mode: str,
    participants: Sequence[Speaker],
    comparison: Comparison | None,
) -> None:
    for role in [one.role for one in participants if one.role]:
        if ROLES[role] != mode:
            told = f"`{role}` belongs to mode {ROLES[role]}: remove it, or change the mode."
            read.say(at(fields, role), told)
    participants = [one for one in participants if not one.role]
    if not participants:
        if comparison is None or mode not in {"single", "parallel"} or has(fields, "mode"):
            told = "Nobody takes part in this step: name `personas`, `participants` or `models`."
            read.say(fields.place, told)
    elif mode == "single" and len(participants) > 1:
        told = f"`single` has one participant, not {len(participants)}: use mode parallel."
        read.say(at(fields, "mode"), told)
    elif mode in {"debate", "consensus", "compare"} and len(participants) < 2:
        read.say(at(fields, "mode"), f"`{mode}` needs at least two participants: name more.")
    if mode == "compare" and any(one.persona for one in participants):
        read.say(at(fields, "mode"), "`compare` takes `models`, not personas: list `models`.")
