"""All of a definition, and what whoever starts a run of it is asked for."""

from __future__ import annotations

from contracts.workflow_events import Definition, InputField
from services.discussion.workflows.document import Fields, Text, Tree
from services.discussion.workflows.reading import soundness, spending, steps
from services.discussion.workflows.reading.values import SLUG, Values, at

MOST_INPUTS = 20


def definition(read: Values, tree: Tree) -> Definition | None:
    fields = read.fields(
        tree, "the definition", ("slug", "title", "description", "inputs", "steps", "budget")
    )
    if fields is None:
        return None
    slug = read.line(fields, "slug", required=True)
    if slug and SLUG.match(slug) is None:
        read.say(
            at(fields, "slug"),
            "A slug has lower-case letters, digits and dashes, 60 at most: e.g. launch-plan.",
        )
    title = read.line(fields, "title", required=True)
    description = read.prose(fields, "description")
    inputs = _inputs(read, fields)
    budget = spending.budget(read, fields)
    found, where = steps.every(read, fields)
    soundness.check_order(read, found, where)
    soundness.check_templates(read, found, where, inputs)
    return Definition(
        slug=slug,
        title=title,
        description=description,
        inputs=inputs,
        steps=found,
        budget=budget,
    )


def _inputs(read: Values, fields: Fields) -> list[InputField]:
    found: list[InputField] = []
    for item in read.items(fields, "inputs", MOST_INPUTS):
        if isinstance(item, Text):
            found.append(InputField(name=read.name(item, "an input")))
        else:
            found.append(_input(read, item))
    read.refuse_doubles([one.name for one in found], fields, "inputs", "input")
    return found


def _input(read: Values, item: Tree) -> InputField:
    fields = read.fields(item, "an input", ("name", "required", "default", "description"))
    if fields is None:
        return InputField(name="")
    name = read.named(fields, "an input")
    default = read.prose(fields, "default")
    required = read.flag(fields, "required", otherwise="default" not in fields.fields)
    if required and default:
        read.say(
            at(fields, "required"),
            "An input with a default is not required: remove `required` or `default`.",
        )
    return InputField(
        name=name,
        required=required,
        default=default,
        description=read.prose(fields, "description"),
    )
