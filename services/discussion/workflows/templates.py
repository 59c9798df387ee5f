"""The prompts of steps: Jinja2 templates that can name inputs and earlier steps, and little more.

A template is somebody's text, so it is bounded by what it can be made of, not by trust: no calls,
no assignments, no arithmetic, loops over short lists only, and filters whose answer is never longer
than what goes in. Whatever is not known is an error, never an empty place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateAssertionError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from rapidfuzz import process

LONGEST_TEMPLATE = 20_000
LONGEST = 90_000
"""Characters of a prompt; below what a discussion's topic may have."""
SECONDS = 2.0
MOST_FILTERS = 100
MOST_ITEMS = 64
"""Of a list that is looped over."""
DEEPEST_LOOP = 2
EXCERPT = 100_000


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a template, and in which of its lines (from 1)."""

    line: int
    message: str
    near: str = ""
    """A word of that line, for the column."""


@dataclass(frozen=True, slots=True)
class Mention:
    """The template speaks of `inputs.<name>` or `steps.<name>`, or of a part of that."""

    line: int
    of: str
    name: str
    part: str = ""


class CannotRender(Exception):
    """The template cannot be filled in; the message says why and what to do."""

    next_step = "Fork the run then."


class WordsGone(CannotRender):
    """It speaks of a step whose discussion has been deleted."""

    def __init__(self, step: str) -> None:
        super().__init__(f"What `{step}` came to has been deleted.")
        self.next_step = f"Fork the run at `{step}` to do it again."


# --- Filters --------------------------------------------------------------------------------


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _excerpt(value: object, characters: int = 500) -> str:
    text = _text(value)
    if not isinstance(cast("object", characters), int) or not 1 <= characters <= EXCERPT:
        raise CannotRender(f"excerpt takes a number of characters from 1 to {EXCERPT:,}")
    return text if len(text) <= characters else text[:characters].rsplit(" ", 1)[0] + " …"


def _join(value: object, between: str = "\n\n") -> str:
    if not isinstance(value, list | tuple):
        raise CannotRender("join takes a list, e.g. `steps.ideas.turns | join`")
    if len(_text(between)) > 100:
        raise CannotRender("join takes at most 100 characters to put in between")
    return _text(between).join(_text(item) for item in cast("Sequence[object]", value))


def _default(value: object, otherwise: object = "") -> object:
    return value if isinstance(value, int) or value else otherwise


def _first(value: object) -> object:
    items = cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
    return items[0] if items else ""


def _last(value: object) -> object:
    items = cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()
    return items[-1] if items else ""


def _length(value: object) -> int:
    counted = isinstance(value, str | list | tuple | dict)
    return len(cast("Sequence[object]", value)) if counted else 0


def _capitalize(value: object) -> str:
    return _text(value).capitalize()


def _lower(value: object) -> str:
    return _text(value).lower()


def _quote(value: object) -> str:
    return "\n".join(f"> {line}" for line in _text(value).splitlines())


def _title(value: object) -> str:
    return _text(value).title()


def _trim(value: object) -> str:
    return _text(value).strip()


def _upper(value: object) -> str:
    return _text(value).upper()


FILTERS: Mapping[str, Callable[..., object]] = {
    "capitalize": _capitalize,
    "default": _default,
    "excerpt": _excerpt,
    "first": _first,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "quote": _quote,
    "title": _title,
    "trim": _trim,
    "upper": _upper,
}


def _is_defined(value: object) -> bool:
    return not isinstance(value, StrictUndefined)


def _is_undefined(value: object) -> bool:
    return isinstance(value, StrictUndefined)


TESTS: Mapping[str, Callable[..., bool]] = {"defined": _is_defined, "undefined": _is_undefined}


def _few(value: object) -> object:
    if isinstance(value, StrictUndefined):
        return value
    if not isinstance(value, list | tuple):
        raise CannotRender("`for` goes over a list, e.g. `steps.ideas.turns`")
    items = cast("Sequence[object]", value)
    if len(items) > MOST_ITEMS:
        raise CannotRender(f"`for` goes over {MOST_ITEMS} items at most, not {len(items)}")
    return _in_time(items)


def _in_time(items: Sequence[object]) -> Iterator[object]:
    for item in items:
        _check_time()
        yield item


_DUE: ContextVar[float] = ContextVar("due", default=float("inf"))


def _check_time() -> None:
    if time.monotonic() > _DUE.get():
        raise CannotRender("The prompt takes too long to be made: make its loops shorter.")


# --- The sandbox ----------------------------------------------------------------------------


class _Sandbox(ImmutableSandboxedEnvironment):
    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ARG002 - the base's signature
        return False

    def getattr(self, obj: Any, attribute: str) -> Any:
        # `steps.ideas.text` is an entry: a dict's own methods, e.g. `items`, are nobody's business.
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, LoopContext) and argument in {"index", "first", "last"}:
            return getattr(obj, argument)
        if isinstance(obj, dict | list | tuple):
            try:
                return cast("Any", obj)[argument]
            except (KeyError, IndexError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)


def _environment() -> _Sandbox:
    made = _Sandbox(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    made.globals.clear()
    made.filters.clear()
    made.tests.clear()
    made.filters.update(FILTERS)
    made.filters["few"] = _few
    made.tests.update(TESTS)
    return made


_ENVIRONMENT = _environment()

_PLAIN = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Const,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Filter,
    nodes.Test,
)

_WORDS: Mapping[type[nodes.Node], str] = {
    nodes.Call: "a call",
    nodes.Assign: "`set`",
    nodes.AssignBlock: "`set`",
    nodes.Macro: "a macro",
    nodes.Include: "`include`",
    nodes.Import: "`import`",
    nodes.FromImport: "`import`",
    nodes.Extends: "`extends`",
    nodes.Block: "`block`",
    nodes.With: "`with`",
    nodes.Concat: "`~`",
}


# --- Looking at a template without running it -----------------------------------------------


def complaints(source: str) -> list[Complaint]:
    """Everything that would stop the template from being taken."""
    if len(source) > LONGEST_TEMPLATE:
        told = f"A prompt's template has {LONGEST_TEMPLATE:,} characters at most: shorten it."
        return [Complaint(1, told)]
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateAssertionError as error:
        return [Complaint(error.lineno, _unknown_filter(str(error.message)))]
    except TemplateSyntaxError as error:
        told = str(error.message or "it cannot be read").rstrip(".")
        hint = "Write `{{ inputs.name }}` or `{% if … %}…{% endif %}`."
        return [Complaint(error.lineno, f"The template cannot be read: {told}. {hint}")]
    except RecursionError:
        return [Complaint(1, "The template is nested too deeply: flatten it.")]
    found = [*_foreign(tree), *_deep(tree, 0)]
    if len(list(tree.find_all(nodes.Filter))) > MOST_FILTERS:
        found.append(Complaint(1, f"A template has {MOST_FILTERS} filters at most: use fewer."))
    return found


def _unknown_filter(told: str) -> str:
    return f"{told} There are these filters: {', '.join(sorted(FILTERS))}."


def _foreign(tree: nodes.Template) -> Iterator[Complaint]:
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            close = process.extractOne(node.name, list(FILTERS), score_cutoff=70)
            meant = f"Did you mean `{close[0]}`?" if close else ""
            told = f"There is no filter {node.name!r}. {meant}".strip()
            yield Complaint(node.lineno, _unknown_filter(told), node.name)
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            told = f"There is no test {node.name!r}: use `==`, or `is defined`."
            yield Complaint(node.lineno, told, node.name)
        elif isinstance(node, nodes.For) and (node.recursive or node.test is not None):
            yield Complaint(node.lineno, "`for` goes over a whole list: put the `if` inside it.")
        elif not isinstance(node, _PLAIN):
            what = _WORDS.get(type(node), f"`{type(node).__name__.lower()}`")
            told = f"A prompt cannot use {what}: names, `if`, `for` and filters are enough here."
            yield Complaint(getattr(node, "lineno", 1), told)


def _deep(node: nodes.Node, depth: int) -> Iterator[Complaint]:
    for inner in node.iter_child_nodes():
        if isinstance(inner, nodes.For) and depth >= DEEPEST_LOOP:
            yield Complaint(inner.lineno, f"Loops are nested {DEEPEST_LOOP} deep at most.")
            continue
        yield from _deep(inner, depth + isinstance(inner, nodes.For))


def mentions(source: str) -> list[Mention]:
    """What it speaks of; a name that is neither `inputs` nor `steps` nor a loop's is `of` empty.

    Nothing of a template that cannot be read.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
    except (TemplateSyntaxError, RecursionError):
        return []
    found: list[Mention] = []
    _walk(tree, frozenset(), found)
    return found


def _walk(node: nodes.Node, loops: frozenset[str], found: list[Mention]) -> None:
    match node:
        case nodes.Getattr(node=nodes.Getattr(node=nodes.Name(name="steps"), attr=name), attr=part):
            found.append(Mention(node.lineno, "steps", name, part))
            return
        case nodes.Getattr(node=nodes.Name(name="inputs" | "steps" as of), attr=name):
            found.append(Mention(node.lineno, of, name))
            return
        case nodes.Getitem(
            node=nodes.Name(name="inputs" | "steps" as of), arg=nodes.Const(value=str() as name)
        ):
            found.append(Mention(node.lineno, of, name))
            return
        case nodes.Name(name=name, ctx="load") if name not in loops and name not in {
            "inputs",
            "steps",
        }:
            found.append(Mention(node.lineno, "", name))
        case nodes.For():
            _walk(node.iter, loops, found)
            inside = loops | {"loop"} | {name.name for name in node.target.find_all(nodes.Name)}
            if isinstance(node.target, nodes.Name):
                inside |= {node.target.name}
            for inner in (*node.body, *node.else_):
                _walk(inner, inside, found)
            return
        case _:
            pass
    for inner in node.iter_child_nodes():
        _walk(inner, loops, found)


# --- Filling it in --------------------------------------------------------------------------


def render(source: str, context: Mapping[str, Any]) -> str:
    """The prompt; CannotRender where something it names is not there, or it becomes too long."""
    pieces: list[str] = []
    size = 0
    due = _DUE.set(time.monotonic() + SECONDS)
    try:
        for piece in _compiled(source).generate(dict(context)):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST:
                raise CannotRender(
                    f"The prompt is longer than {LONGEST:,} characters: take less of an earlier "
                    "step, e.g. `{{ steps.ideas.text | excerpt(4000) }}`."
                )
            _check_time()
    except UndefinedError as error:
        raise CannotRender(
            f"{error.message}: correct the template, or name what it needs."
        ) from error
    except (SecurityError, TemplateError, TypeError, ValueError, RecursionError) as error:
        raise CannotRender(f"The template cannot be filled in: {error}.") from error
    finally:
        _DUE.reset(due)
    return "".join(pieces)


def is_true(expression: str, context: Mapping[str, Any]) -> bool:
    """Whether a `when` holds."""
    return render(condition(expression), context) == "yes"


def condition(expression: str) -> str:
    """The template that says `yes` where the expression holds."""
    return "{% if (" + expression + ") %}yes{% endif %}"


@lru_cache(maxsize=256)
def _compiled(source: str) -> Any:
    if faults := complaints(source):
        raise CannotRender(faults[0].message)
    tree = _ENVIRONMENT.parse(source)
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "few", [], [], None, None).set_lineno(loop.lineno)
    tree.set_environment(_ENVIRONMENT)
    code = _ENVIRONMENT.compile(tree)
    return _ENVIRONMENT.template_class.from_code(
        _ENVIRONMENT, code, _ENVIRONMENT.make_globals(None)
    )
