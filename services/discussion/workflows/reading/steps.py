"""The steps of a definition, one by one."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.workflow_events import Step
from services.discussion.workflows.document import Fields, Items, Place, Text, Tree
from services.discussion.workflows.reading import comparing, speakers, spending
from services.discussion.workflows.reading.speakers import ROLES
from services.discussion.workflows.reading.values import Values, at, has, text_at

MOST_STEPS = 32

WHOLE = ("max_completion_tokens", "rounds", "revisions", "quorum", "patience", "time_limit", "seed")
NUMBERS = ("temperature", "top_p")
FLAGS = ("closed",)
OPTIONS = (*WHOLE, *NUMBERS, *FLAGS, "reasoning_effort")


@dataclass(slots=True)
class Where:
    """Where the parts of one step stand, for what is checked once all of them are known."""

    step: Place
    name: Place
    prompt: Text | None
    when: Text | None
    after: list[Place]


def every(read: Values, fields: Fields) -> tuple[list[Step], list[Where]]:
    items = read.items(fields, "steps", MOST_STEPS)
    if not items and "steps" not in fields.fields:
        read.say(fields.place, "There is no `steps`: list what is to be done, `steps: [...]`.")
    elif not items and isinstance(fields.fields["steps"][1], Items):
        read.say(at(fields, "steps"), "There are no steps: a workflow has at least one.")
    pairs = [pair for item in items if (pair := _step(read, item)) is not None]
    names: dict[str, Place] = {}
    for step, where in pairs:
        if step.name in names:
            told = f"Step {step.name!r} is on line {names[step.name].line} already: rename one."
            read.say(where.name, told)
        elif step.name:
            names[step.name] = where.name
    return [step for step, _ in pairs], [where for _, where in pairs]


def _step(read: Values, item: Tree) -> tuple[Step, Where] | None:
    fields = read.fields(
        item,
        "a step",
        (
            "name",
            "title",
            "mode",
            "personas",
            "participants",
            "models",
            *ROLES,
            "prompt",
            "after",
            "when",
            "budget",
            "options",
            "compare_providers",
        ),
    )
    if fields is None:
        return None
    name = read.named(fields, "a step")
    participants = speakers.participants(read, fields)
    comparison = comparing.comparison(read, fields)
    mode = speakers.mode_of(read, fields, participants)
    speakers.check_fit(read, fields, mode, participants, comparison)
    prompt = _prompt(read, fields)
    after, places = _after(read, fields)
    when = text_at(fields, "when")
    step = Step(
        name=name,
        title=read.line(fields, "title"),
        mode=mode,
        participants=participants,
        prompt=prompt.value if prompt else "",
        after=after,
        when=when.value.strip() if when else read.prose(fields, "when"),
        budget=spending.budget(read, fields),
        options=_options(read, fields),
        compare_providers=comparison,
    )
    place = fields.fields["name"][0] if "name" in fields.fields else fields.place
    return step, Where(fields.place, place, prompt, when, places)


def _prompt(read: Values, fields: Fields) -> Text | None:
    if "prompt" not in fields.fields:
        read.say(fields.place, "This step has no `prompt`: write what is asked there.")
        return None
    value = fields.fields["prompt"][1]
    if not isinstance(value, Text) or (value.plain and value.kind != "str"):
        read.say(value.place, "`prompt` is a text: put it into quotes, or under `|`.")
        return None
    if not value.value.strip():
        read.say(value.place, "The prompt is empty: write what is asked.")
    return value


def _after(read: Values, fields: Fields) -> tuple[list[str], list[Place]]:
    if isinstance(single := text_at(fields, "after"), Text):
        return [single.value], [single.place]
    items = read.items(fields, "after", MOST_STEPS)
    return [read.one_line(item) for item in items], [item.place for item in items]


def _options(read: Values, fields: Fields) -> dict[str, object]:
    if not has(fields, "options"):
        return {}
    told = read.fields(fields.fields["options"][1], "options", OPTIONS)
    found: dict[str, object] = {}
    if told is None:
        return {}
    for name, (_, value) in told.fields.items():
        if name in WHOLE:
            found[name] = read.whole(value, name)
        elif name in NUMBERS:
            found[name] = read.number(value, name)
        elif name in FLAGS:
            found[name] = read.flag(told, name, otherwise=False)
        elif name in OPTIONS:
            found[name] = read.one_line(value)
    return {name: value for name, value in found.items() if value is not None}
