"""A definition's text as a tree in which everything knows its line and column. YAML, and JSON too.

Anchors, merge keys and tags are refused: they make a short text huge, and nobody needs them here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

LARGEST = 100_000
"""Characters of a definition."""

DEEPEST = 20


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong at one place, and what to do about it."""

    line: int
    """From 1."""
    column: int
    """From 1."""
    path: str
    """E.g. `steps.1.prompt`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    line: int
    column: int
    path: str = ""

    def fault(self, message: str) -> Fault:
        return Fault(self.line, self.column, self.path, message)


@dataclass(frozen=True, slots=True)
class Text:
    """A single value: as it was written, and what YAML takes it for."""

    place: Place
    value: str
    plain: bool
    """Without quotes, so that `no` and `12` are no text."""
    kind: str
    """`str`, `int`, `float`, `bool`, `null`, `timestamp`."""
    block: bool
    """After `|` or `>`: its lines begin on the next one."""

    def line_of(self, line: int) -> Place:
        """Where the value's `line` (from 1) stands in the document."""
        start = self.place
        if line <= 1 and not self.block:
            return start
        return Place(line=start.line + line - (not self.block), column=1, path=start.path)


@dataclass(frozen=True, slots=True)
class Items:
    place: Place
    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    place: Place
    fields: dict[str, tuple[Place, Tree]] = field(default_factory=dict[str, tuple[Place, "Tree"]])
    """By name: where the name stands, and its value."""


Tree = Text | Items | Fields


_compose = cast("Callable[[str], object]", partial(yaml.compose, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]


def read(source: str) -> tuple[Tree | None, list[Fault]]:
    """The tree, or None where the text cannot be taken apart; and what is wrong with it."""
    if len(source) > LARGEST:
        told = f"A definition has {LARGEST:,} characters at most, not {len(source):,}: shorten it."
        return None, [Fault(1, 1, "", told)]
    if source.lstrip()[:1] in {"{", "["}:
        source = source.replace("\t", " ")  # JSON may be indented by tabs, YAML may not
    try:
        found = cast("Node | None", _compose(source))
    except yaml.MarkedYAMLError as error:
        return None, [_unreadable(error)]
    except yaml.reader.ReaderError as error:
        line = source.count("\n", 0, error.position) + 1
        return None, [Fault(line, 1, "", "A character that may not stand here: remove it.")]
    except (ValueError, OverflowError):
        return None, [_beyond(source)]
    except RecursionError:
        return None, [Fault(1, 1, "", f"It is nested deeper than {DEEPEST} levels: flatten it.")]
    if found is None:
        return None, [Fault(1, 1, "", "It is empty: begin with `slug:`, `title:` and `steps:`.")]
    faults: list[Fault] = []
    return _Planting(faults.append).tree(found, "", 0), sorted(faults)


_BEYOND = re.compile(r"\\U(?!000|0010)")


def _beyond(source: str) -> Fault:
    """PyYAML takes any number after a backslash and `U`, also where no character has it."""
    found = _BEYOND.search(source)
    start = found.start() if found else 0
    line, column = source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start)
    return Fault(line, column, "", "There is no character of this number: remove it.")


def _unreadable(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = error.problem or error.context or "it cannot be read"
    hint = "Put a text with `: `, `#`, `{` or quotes into quotes, or under `|`."
    if "found character '\\t'" in said:
        hint = "Indent with spaces, not with tabs."
    elif "alias" in said or "anchor" in said:
        hint = "Anchors (`&`) and aliases (`*`) are not taken: write it out."
    elif "expected a single document" in said:
        hint = "Keep one definition in a text: remove what follows `---`."
    return Fault(line, column, "", f"This is not YAML: {said}. {hint}")


class _Planting:
    """Turns YAML's nodes into a tree, naming what is not taken."""

    def __init__(self, found: Callable[[Fault], None]) -> None:
        self._found = found
        self._seen: set[int] = set()

    def tree(self, node: Node, path: str, depth: int) -> Tree:
        place = Place(line=node.start_mark.line + 1, column=node.start_mark.column + 1, path=path)
        if id(node) in self._seen:
            self._found(place.fault("Anchors and aliases are not taken: write it out here."))
            return Text(place, "", plain=True, kind="null", block=False)
        self._seen.add(id(node))
        if depth > DEEPEST:
            self._found(place.fault(f"It is nested deeper than {DEEPEST} levels: flatten it."))
            return Text(place, "", plain=True, kind="null", block=False)
        match node:
            case MappingNode():
                return self._fields(node, place, depth)
            case SequenceNode():
                return Items(
                    place,
                    tuple(
                        self.tree(item, f"{path}.{at}" if path else str(at), depth + 1)
                        for at, item in enumerate(node.value)
                    ),
                )
            case ScalarNode():
                return self._text(node, place)
            case _:
                raise AssertionError(node)

    def _text(self, node: ScalarNode, place: Place) -> Text:
        kind = node.tag.rpartition(":")[2]
        if kind not in {"str", "int", "float", "bool", "null", "timestamp", "merge", "value"}:
            self._found(place.fault(f"Tags such as {node.tag[:40]!r} are not taken: remove it."))
        value = _whole(node.value)
        if value is None:
            self._found(place.fault("Half of a character stands here: write it out in UTF-8."))
            value = ""
        plain = node.style in {None, ""}
        return Text(place, value, plain=plain, kind=kind, block=node.style in {"|", ">"})

    def _fields(self, node: MappingNode, place: Place, depth: int) -> Fields:
        found: dict[str, tuple[Place, Tree]] = {}
        for key, value in node.value:
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if not isinstance(key, ScalarNode) or _whole(key.value) is None:
                at = Place(line=line, column=column, path=place.path)
                self._found(at.fault("A name is a single word: put what stands here under one."))
                continue
            path = f"{place.path}.{key.value}" if place.path else key.value
            at = Place(line=line, column=column, path=path[:200])
            if key.value in found:
                first = found[key.value][0].line
                told = f"{key.value[:80]!r} stands on line {first} already: keep one of the two."
                self._found(at.fault(told))
            planted = self.tree(value, path[:200], depth + 1)
            found.setdefault(key.value, (at, planted))
        return Fields(place, found)


_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str | None:
    r"""JSON writes what is beyond the basic plane as two escapes, `\ud83d\ude00`."""
    joined = _HALVES.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
    )
    return None if _HALF.search(joined) else joined
