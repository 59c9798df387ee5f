"""A definition is read, and everything that is wrong with it is told at once, line by line.

Pure. What comes out is sound: every name exists, nothing waits for itself, every template can be
filled in once the steps before it have ended.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import get_args

from rapidfuzz import process

from contracts.modes import Mode
from contracts.workflow_events import (
    Budget,
    Comparison,
    Definition,
    Gate,
    InputField,
    Rule,
    Speaker,
    Step,
)
from services.discussion.modes import PROCESSES
from services.discussion.workflows import document, graph, templates
from services.discussion.workflows.document import Fault, Fields, Items, Place, Text, Tree

MOST_STEPS = 32
MOST_INPUTS = 20
PANEL = 8
LONGEST_LINE = 200

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?\Z")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
MODEL = re.compile(r"[^\s/]{1,64}/\S{1,190}\Z")

MODES = tuple(mode.value for mode in PROCESSES)
GATES: tuple[str, ...] = get_args(Gate)
RULES: tuple[str, ...] = get_args(Rule)

PARTS = ("text", "outcome", "state", "turns", "model", "failed")
"""Of a step, for the templates after it."""

WHOLE = ("max_completion_tokens", "rounds", "revisions", "quorum", "patience", "seed")
NUMBERS = ("temperature", "top_p")
FLAGS = ("closed",)
OPTIONS = (*WHOLE, *NUMBERS, *FLAGS, "reasoning_effort")

ROLES = {"moderator": "debate", "judge": "compare", "chair": "consensus"}
"""Who else there may be, and in which mode."""


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
    reader = _Reader(source)
    definition = reader.definition(tree)
    if reader.faults or definition is None:
        raise Unsound(reader.faults)
    return definition


@dataclass(slots=True)
class _Where:
    """Where the parts of one step stand, for what is checked once all of them are known."""

    step: Place
    name: Place
    prompt: Text | None
    when: Text | None
    after: list[Place]


class _Reader:
    def __init__(self, source: str) -> None:
        self.faults: list[Fault] = []
        self._lines = source.splitlines()

    def _say(self, place: Place, message: str) -> None:
        self.faults.append(place.fault(message))

    # --- The whole ----------------------------------------------------------------------------

    def definition(self, tree: Tree) -> Definition | None:
        fields = self._fields(
            tree, "the definition", ("slug", "title", "description", "inputs", "steps", "budget")
        )
        if fields is None:
            return None
        slug = self._line(fields, "slug", required=True)
        if slug and SLUG.match(slug) is None:
            self._say(
                _at(fields, "slug"),
                "A slug has lower-case letters, digits and dashes, 60 at most: e.g. launch-plan.",
            )
        title = self._line(fields, "title", required=True)
        description = self._prose(fields, "description")
        inputs = self._inputs(fields)
        budget = self._budget(fields)
        steps, where = self._steps(fields)
        self._check_order(steps, where)
        self._check_templates(steps, where, inputs)
        return Definition(
            slug=slug,
            title=title,
            description=description,
            inputs=inputs,
            steps=steps,
            budget=budget,
        )

    # --- Inputs -------------------------------------------------------------------------------

    def _inputs(self, fields: Fields) -> list[InputField]:
        found: list[InputField] = []
        for item in self._items(fields, "inputs", MOST_INPUTS):
            if isinstance(item, Text):
                found.append(InputField(name=self._name(item, "an input")))
            else:
                found.append(self._input(item))
        self._refuse_doubles([one.name for one in found], fields, "inputs", "input")
        return found

    def _input(self, item: Tree) -> InputField:
        fields = self._fields(item, "an input", ("name", "required", "default", "description"))
        if fields is None:
            return InputField(name="")
        name = self._named(fields, "an input")
        default = self._prose(fields, "default")
        required = self._flag(fields, "required", otherwise="default" not in fields.fields)
        if required and default:
            self._say(
                _at(fields, "required"),
                "An input with a default is not required: remove `required` or `default`.",
            )
        return InputField(
            name=name,
            required=required,
            default=default,
            description=self._prose(fields, "description"),
        )

    # --- Steps --------------------------------------------------------------------------------

    def _steps(self, fields: Fields) -> tuple[list[Step], list[_Where]]:
        items = self._items(fields, "steps", MOST_STEPS)
        if not items and "steps" not in fields.fields:
            self._say(fields.place, "There is no `steps`: list what is to be done, `steps: [...]`.")
        elif not items and isinstance(fields.fields["steps"][1], Items):
            self._say(_at(fields, "steps"), "There are no steps: a workflow has at least one.")
        pairs = [pair for item in items if (pair := self._step(item)) is not None]
        names: dict[str, Place] = {}
        for step, where in pairs:
            if step.name in names:
                told = f"Step {step.name!r} is on line {names[step.name].line} already: rename one."
                self._say(where.name, told)
            elif step.name:
                names[step.name] = where.name
        return [step for step, _ in pairs], [where for _, where in pairs]

    def _step(self, item: Tree) -> tuple[Step, _Where] | None:
        fields = self._fields(
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
        name = self._named(fields, "a step")
        participants = self._participants(fields)
        comparison = self._comparison(fields)
        mode = self._mode(fields, participants)
        self._check_fit(fields, mode, participants, comparison)
        prompt = self._prompt(fields)
        after, places = self._after(fields)
        when = _text_at(fields, "when")
        step = Step(
            name=name,
            title=self._line(fields, "title"),
            mode=mode,
            participants=participants,
            prompt=prompt.value if prompt else "",
            after=after,
            when=when.value.strip() if when else self._prose(fields, "when"),
            budget=self._budget(fields),
            options=self._options(fields),
            compare_providers=comparison,
        )
        at = fields.fields["name"][0] if "name" in fields.fields else fields.place
        return step, _Where(fields.place, at, prompt, when, places)

    def _prompt(self, fields: Fields) -> Text | None:
        if "prompt" not in fields.fields:
            self._say(fields.place, "This step has no `prompt`: write what is asked there.")
            return None
        value = fields.fields["prompt"][1]
        if not isinstance(value, Text) or (value.plain and value.kind != "str"):
            self._say(value.place, "`prompt` is a text: put it into quotes, or under `|`.")
            return None
        if not value.value.strip():
            self._say(value.place, "The prompt is empty: write what is asked.")
        return value

    def _participants(self, fields: Fields) -> list[Speaker]:
        found: list[Speaker] = []
        for key in ("personas", "models"):
            for item in self._items(fields, key, PANEL):
                text = self._one_line(item)
                if key == "models":
                    self._check_model(item, text)
                elif text and SLUG.match(text) is None:
                    self._say(item.place, "A persona is named by its slug, e.g. riley-engstrom.")
                found.append(Speaker(model=text) if key == "models" else Speaker(persona=text))
        found += [self._speaker(item) for item in self._items(fields, "participants", PANEL)]
        members = len(found)
        for role in ROLES:
            if _has(fields, role):
                other = self._speaker(fields.fields[role][1])
                found.append(Speaker(persona=other.persona, model=other.model, role=role))
        if members > PANEL:
            told = f"A discussion has {PANEL} participants at most, not {members}: name fewer."
            self._say(fields.place, told)
        return found

    def _speaker(self, item: Tree) -> Speaker:
        if isinstance(item, Text):
            text = self._one_line(item)
            return Speaker(model=text) if "/" in text else Speaker(persona=text)
        fields = self._fields(item, "a participant", ("persona", "model"))
        if fields is None:
            return Speaker()
        persona, model = self._line(fields, "persona"), self._line(fields, "model")
        if not persona and not model:
            self._say(fields.place, "A participant names a `persona`, a `model`, or both.")
        if model:
            self._check_model(fields.fields["model"][1], model)
        return Speaker(persona=persona, model=model)

    def _check_model(self, item: Tree, model: str) -> None:
        if model and MODEL.match(model) is None:
            self._say(item.place, "A model is `provider/model`, e.g. kimi/k2.")

    def _mode(self, fields: Fields, participants: Sequence[Speaker]) -> str:
        mode = self._line(fields, "mode")
        if not mode:
            members = [one for one in participants if not one.role]
            return Mode.SINGLE.value if len(members) <= 1 else Mode.PARALLEL.value
        if mode not in MODES:
            self._say(
                _at(fields, "mode"), f"There is no mode {mode[:40]!r}. {_choose(mode, MODES)}"
            )
        return mode

    def _check_fit(
        self,
        fields: Fields,
        mode: str,
        participants: Sequence[Speaker],
        comparison: Comparison | None,
    ) -> None:
        for role in [one.role for one in participants if one.role]:
            if ROLES[role] != mode:
                told = f"`{role}` belongs to mode {ROLES[role]}: remove it, or change the mode."
                self._say(_at(fields, role), told)
        participants = [one for one in participants if not one.role]
        if not participants:
            if comparison is None or mode not in {"single", "parallel"} or _has(fields, "mode"):
                told = (
                    "Nobody takes part in this step: name `personas`, `participants` or `models`."
                )
                self._say(fields.place, told)
        elif mode == "single" and len(participants) > 1:
            told = f"`single` has one participant, not {len(participants)}: use mode parallel."
            self._say(_at(fields, "mode"), told)
        elif mode in {"debate", "consensus", "compare"} and len(participants) < 2:
            self._say(_at(fields, "mode"), f"`{mode}` needs at least two participants: name more.")
        if mode == "compare" and any(one.persona for one in participants):
            self._say(_at(fields, "mode"), "`compare` takes `models`, not personas: list `models`.")

    def _after(self, fields: Fields) -> tuple[list[str], list[Place]]:
        if isinstance(single := _text_at(fields, "after"), Text):
            return [single.value], [single.place]
        items = self._items(fields, "after", MOST_STEPS)
        return [self._one_line(item) for item in items], [item.place for item in items]

    def _options(self, fields: Fields) -> dict[str, object]:
        if not _has(fields, "options"):
            return {}
        told = self._fields(fields.fields["options"][1], "options", OPTIONS)
        found: dict[str, object] = {}
        if told is None:
            return {}
        for name, (_, value) in told.fields.items():
            if name in WHOLE:
                found[name] = self._whole(value, name)
            elif name in NUMBERS:
                found[name] = self._number(value, name)
            elif name in FLAGS:
                found[name] = self._flag(told, name, otherwise=False)
            elif name in OPTIONS:
                found[name] = self._one_line(value)
        return {name: value for name, value in found.items() if value is not None}

    # --- Comparing providers --------------------------------------------------------------------

    def _comparison(self, fields: Fields) -> Comparison | None:
        if not _has(fields, "compare_providers"):
            return None
        told = self._fields(
            fields.fields["compare_providers"][1],
            "compare_providers",
            ("models", "gate", "rule", "judge", "criteria"),
        )
        if told is None:
            return None
        models: list[str] = []
        for item in self._items(told, "models", PANEL):
            models.append(self._one_line(item))
            self._check_model(item, models[-1])
        if len(models) < 2:
            self._say(told.place, "`compare_providers` needs at least two `models`: list them.")
        gate = self._line(told, "gate")
        if gate not in GATES:
            place = _at(told, "gate")
            self._say(place, f"Say who chooses: `gate: {'`, `gate: '.join(GATES)}`.")
        rule = self._line(told, "rule")
        if gate == "rule" and rule not in RULES:
            self._say(_at(told, "rule"), f"Say which rule chooses. {_choose(rule, RULES)}")
        judge = self._speaker(told.fields["judge"][1]) if _has(told, "judge") else None
        if gate == "judge" and judge is None:
            self._say(
                _at(told, "gate"), "Say who judges: `judge: ines-duarte`, or a `provider/model`."
            )
        for name in ("rule", "judge"):
            if _has(told, name) and gate in GATES and gate != name:
                self._say(
                    _at(told, name), f"`{name}` goes with `gate: {name}`: remove one of them."
                )
        if gate not in GATES:
            return None
        return Comparison(
            models=models,
            gate=gate,  # type: ignore[arg-type]  # it is one of GATES
            rule=rule,
            judge=judge,
            criteria=self._prose(told, "criteria"),
        )

    # --- Budgets ------------------------------------------------------------------------------

    def _budget(self, fields: Fields) -> Budget | None:
        if not _has(fields, "budget"):
            return None
        told = self._fields(fields.fields["budget"][1], "a budget", ("usd", "tokens"))
        if told is None:
            return None
        usd: Decimal | None = None
        if _has(told, "usd"):
            value = told.fields["usd"][1]
            try:
                usd = Decimal(value.value.lstrip("$") if isinstance(value, Text) else "")
            except InvalidOperation:
                usd = Decimal(-1)
            if not usd.is_finite() or not 0 < usd <= 1_000_000:
                self._say(value.place, "`usd` is an amount above 0, e.g. 0.50.")
                usd = None
        tokens = self._whole(told.fields["tokens"][1], "tokens") if _has(told, "tokens") else None
        if not told.fields:
            self._say(told.place, "A budget says `usd`, `tokens`, or both.")
        return Budget(usd=usd, tokens=tokens)

    # --- What needs all of it -------------------------------------------------------------------

    def _check_order(self, steps: Sequence[Step], where: Sequence[_Where]) -> None:
        names = [step.name for step in steps]
        for step, at in zip(steps, where, strict=True):
            for before, place in zip(step.after, at.after, strict=True):
                if before and before not in names:
                    told = f"There is no step {before[:80]!r}. {_choose(before, names)}"
                    self._say(place, told)
        order = {step.name: step.after for step in steps}
        for circle in graph.circles(order):
            at = where[names.index(circle[0])]
            way = " → ".join([*circle, circle[0]])
            place = at.after[order[circle[0]].index(circle[1 % len(circle)])]
            told = f"These steps wait for one another: {way}. Remove one of these `after`."
            self._say(place, told)

    def _check_templates(
        self, steps: Sequence[Step], where: Sequence[_Where], inputs: Sequence[InputField]
    ) -> None:
        names = [step.name for step in steps]
        order = {step.name: step.after for step in steps}
        known = _Known([one.name for one in inputs], names)
        for step, at in zip(steps, where, strict=True):
            before = graph.before(order, step.name)
            if at.prompt is not None:
                self._check_template(at.prompt, at.prompt.value, step.name, before, known)
            if at.when is not None and at.when.value.strip():
                source = templates.condition(at.when.value.strip())
                self._check_template(at.when, source, step.name, before, known)

    def _check_template(
        self, text: Text, source: str, step: str, before: Collection[str], known: _Known
    ) -> None:
        for complaint in templates.complaints(source):
            self._say(self._near(text, complaint.line, complaint.near), complaint.message)
        for mention in templates.mentions(source):
            if told := _unknown(mention, step, before, known):
                near = mention.part if mention.part and mention.name in before else mention.name
                self._say(self._near(text, mention.line, near), told)

    def _near(self, text: Text, line: int, word: str) -> Place:
        """Where the word stands in that line of the template."""
        place = text.line_of(line)
        written = self._lines[place.line - 1] if place.line <= len(self._lines) else ""
        at = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", written[place.column - 1 :])
        if not word or at is None:
            return place
        return replace(place, column=place.column + at.start())

    # --- Single values ----------------------------------------------------------------------------

    def _fields(self, tree: Tree, what: str, known: Sequence[str]) -> Fields | None:
        if not isinstance(tree, Fields):
            self._say(
                tree.place, f"Here stands {what}, as lines of `name: value`: {', '.join(known)}."
            )
            return None
        for name, (place, _) in tree.fields.items():
            if name not in known:
                told = f"There is no field {name[:80]!r} in {what}. {_choose(name, known)}"
                self._say(place, told)
        return tree

    def _items(self, fields: Fields, name: str, most: int) -> tuple[Tree, ...]:
        if not _has(fields, name):
            return ()
        value = fields.fields[name][1]
        if not isinstance(value, Items):
            self._say(value.place, f"`{name}` is a list: write [one, another], or lines with `- `.")
            return ()
        if len(value.items) > most:
            told = f"`{name}` has {most} entries at most, not {len(value.items)}: name fewer."
            self._say(value.place, told)
        return value.items[:most]

    def _line(self, fields: Fields, name: str, *, required: bool = False) -> str:
        if not _has(fields, name):
            if required:
                self._say(fields.place, f"There is no `{name}`: add `{name}: …`.")
            return ""
        text = self._one_line(fields.fields[name][1])
        if required and not text:
            self._say(_at(fields, name), f"`{name}` is empty: write something there.")
        return text

    def _one_line(self, value: Tree) -> str:
        if not isinstance(value, Text) or (value.plain and value.kind not in {"str", "null"}):
            name = value.place.path.rpartition(".")[2]
            self._say(value.place, f"`{name}` is a text here: put it into quotes.")
            return ""
        text = value.value.strip() if value.kind != "null" or not value.plain else ""
        if len(text) > LONGEST_LINE or not text.isprintable():
            told = f"This is one line of {LONGEST_LINE} characters at most: shorten it."
            self._say(value.place, told)
        return text

    def _prose(self, fields: Fields, name: str) -> str:
        if not _has(fields, name):
            return ""
        value = fields.fields[name][1]
        if not isinstance(value, Text):
            self._say(value.place, f"`{name}` is a text here: put it into quotes, or under `|`.")
            return ""
        if len(value.value) > templates.LONGEST_TEMPLATE:
            told = f"`{name}` has {templates.LONGEST_TEMPLATE:,} characters at most: shorten it."
            self._say(value.place, told)
        return "" if value.plain and value.kind == "null" else value.value.strip()

    def _named(self, fields: Fields, what: str) -> str:
        if not _has(fields, "name"):
            self._say(fields.place, f"There is no `name`: {what} has one, e.g. `name: ideas`.")
            return ""
        return self._name(fields.fields["name"][1], what)

    def _name(self, value: Tree, what: str) -> str:
        text = self._one_line(value)
        if text and NAME.match(text) is None:
            told = f"The name of {what} has lower-case letters, digits and `_`, 40 at most."
            self._say(value.place, told)
        return text

    def _flag(self, fields: Fields, name: str, *, otherwise: bool) -> bool:
        if not _has(fields, name):
            return otherwise
        value = fields.fields[name][1]
        if isinstance(value, Text) and value.plain and value.kind == "bool":
            return value.value.lower() in {"true", "yes", "on"}
        self._say(value.place, f"`{name}` is true or false.")
        return otherwise

    def _whole(self, value: Tree, name: str) -> int | None:
        if isinstance(value, Text) and value.plain and value.value.replace("_", "").isdecimal():
            found = int(value.value.replace("_", ""))
            if 0 < found <= 1_000_000_000:
                return found
        self._say(value.place, f"`{name}` is a whole number above 0.")
        return None

    def _number(self, value: Tree, name: str) -> float | None:
        try:
            found = float(value.value) if isinstance(value, Text) and value.plain else -1.0
        except ValueError:
            found = -1.0
        if 0 <= found <= 2:
            return found
        self._say(value.place, f"`{name}` is a number from 0 to 2.")
        return None

    def _refuse_doubles(self, names: Sequence[str], fields: Fields, key: str, what: str) -> None:
        items = self._places(fields, key)
        for at, name in enumerate(names):
            if name and name in names[:at]:
                self._say(items[at], f"There are two of {what} {name!r}: keep one.")

    def _places(self, fields: Fields, key: str) -> list[Place]:
        value = fields.fields[key][1] if _has(fields, key) else None
        return [item.place for item in value.items] if isinstance(value, Items) else []


@dataclass(frozen=True, slots=True)
class _Known:
    inputs: Sequence[str]
    steps: Sequence[str]


def _unknown(mention: templates.Mention, step: str, before: Collection[str], known: _Known) -> str:
    """What is wrong with something that a template speaks of; empty if nothing is."""
    name = mention.name
    match mention.of:
        case "inputs" if name not in known.inputs:
            told = "Add it under `inputs`, or correct the name."
            return f"There is no input {name[:80]!r}. {_choose(name, known.inputs) or told}"
        case "steps" if name == step:
            return "A step cannot speak of itself: name an earlier one."
        case "steps" if name not in known.steps:
            return f"There is no step {name[:80]!r}. {_choose(name, known.steps)}"
        case "steps" if name not in before:
            return f"Step {name!r} may not have ended by then: add it to `after`."
        case "steps" if mention.part and mention.part not in PARTS:
            return f"A step has no {mention.part[:80]!r}. {_choose(mention.part, PARTS)}"
        case "":
            return (
                f"{name[:80]!r} is not known here: write `inputs.{name[:40]}`, or "
                f"`steps.<name>.text` ({', '.join(PARTS)})."
            )
        case _:
            return ""


def _choose(name: str, known: Iterable[str]) -> str:
    names = [one for one in known if one]
    close = process.extractOne(name[:80], names, score_cutoff=60) if name else None
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(names)}." if names else ""


def _has(fields: Fields, name: str) -> bool:
    return name in fields.fields


def _at(fields: Fields, name: str) -> Place:
    """Where the value of that name stands, or would."""
    return fields.fields[name][1].place if name in fields.fields else fields.place


def _text_at(fields: Fields, name: str) -> Text | None:
    value: Mapping[str, tuple[Place, Tree]] = fields.fields
    found = value[name][1] if name in value else None
    return found if isinstance(found, Text) and not (found.plain and found.kind == "null") else None
