"""Single values of a definition. What is wrong with one is noted with its place, and reading goes
on, so that everything is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rapidfuzz import process

from services.discussion.workflows import templates
from services.discussion.workflows.document import Fault, Fields, Items, Place, Text, Tree

LONGEST_LINE = 200

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?\Z")

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")

MODEL = re.compile(r"[^\s/]{1,64}/\S{1,190}\Z")


class Values:
    def __init__(self, source: str) -> None:
        self.faults: list[Fault] = []
        self._lines = source.splitlines()

    def say(self, place: Place, message: str) -> None:
        self.faults.append(place.fault(message))

    def fields(self, tree: Tree, what: str, known: Sequence[str]) -> Fields | None:
        if not isinstance(tree, Fields):
            self.say(
                tree.place, f"Here stands {what}, as lines of `name: value`: {', '.join(known)}."
            )
            return None
        for name, (place, _) in tree.fields.items():
            if name not in known:
                told = f"There is no field {name[:80]!r} in {what}. {choose(name, known)}"
                self.say(place, told)
        return tree

    def items(self, fields: Fields, name: str, most: int) -> tuple[Tree, ...]:
        if not has(fields, name):
            return ()
        value = fields.fields[name][1]
        if not isinstance(value, Items):
            self.say(value.place, f"`{name}` is a list: write [one, another], or lines with `- `.")
            return ()
        if len(value.items) > most:
            told = f"`{name}` has {most} entries at most, not {len(value.items)}: name fewer."
            self.say(value.place, told)
        return value.items[:most]

    def line(self, fields: Fields, name: str, *, required: bool = False) -> str:
        if not has(fields, name):
            if required:
                self.say(fields.place, f"There is no `{name}`: add `{name}: …`.")
            return ""
        text = self.one_line(fields.fields[name][1])
        if required and not text:
            self.say(at(fields, name), f"`{name}` is empty: write something there.")
        return text

    def one_line(self, value: Tree) -> str:
        if not isinstance(value, Text) or (value.plain and value.kind not in {"str", "null"}):
            name = value.place.path.rpartition(".")[2]
            self.say(value.place, f"`{name}` is a text here: put it into quotes.")
            return ""
        text = value.value.strip() if value.kind != "null" or not value.plain else ""
        if len(text) > LONGEST_LINE or not text.isprintable():
            told = f"This is one line of {LONGEST_LINE} characters at most: shorten it."
            self.say(value.place, told)
        return text

    def prose(self, fields: Fields, name: str) -> str:
        if not has(fields, name):
            return ""
        value = fields.fields[name][1]
        if not isinstance(value, Text):
            self.say(value.place, f"`{name}` is a text here: put it into quotes, or under `|`.")
            return ""
        if len(value.value) > templates.LONGEST_TEMPLATE:
            told = f"`{name}` has {templates.LONGEST_TEMPLATE:,} characters at most: shorten it."
            self.say(value.place, told)
        return "" if value.plain and value.kind == "null" else value.value.strip()

    def named(self, fields: Fields, what: str) -> str:
        if not has(fields, "name"):
            self.say(fields.place, f"There is no `name`: {what} has one, e.g. `name: ideas`.")
            return ""
        return self.name(fields.fields["name"][1], what)

    def name(self, value: Tree, what: str) -> str:
        text = self.one_line(value)
        if text and NAME.match(text) is None:
            told = f"The name of {what} has lower-case letters, digits and `_`, 40 at most."
            self.say(value.place, told)
        return text

    def flag(self, fields: Fields, name: str, *, otherwise: bool) -> bool:
        if not has(fields, name):
            return otherwise
        value = fields.fields[name][1]
        if isinstance(value, Text) and value.plain and value.kind == "bool":
            return value.value.lower() in {"true", "yes", "on"}
        self.say(value.place, f"`{name}` is true or false.")
        return otherwise

    def whole(self, value: Tree, name: str) -> int | None:
        digits = value.value.replace("_", "") if isinstance(value, Text) and value.plain else ""
        # Python reads no numbers of thousands of digits, and says so with an error.
        if digits.isdecimal() and len(digits) <= 40 and 0 < int(digits) <= 1_000_000_000:
            return int(digits)
        self.say(value.place, f"`{name}` is a whole number above 0.")
        return None

    def number(self, value: Tree, name: str) -> float | None:
        try:
            found = float(value.value) if isinstance(value, Text) and value.plain else -1.0
        except ValueError:
            found = -1.0
        if 0 <= found <= 2:
            return found
        self.say(value.place, f"`{name}` is a number from 0 to 2.")
        return None

    def refuse_doubles(self, names: Sequence[str], fields: Fields, key: str, what: str) -> None:
        items = self.places(fields, key)
        for at, name in enumerate(names):
            if name and name in names[:at]:
                self.say(items[at], f"There are two of {what} {name!r}: keep one.")

    def places(self, fields: Fields, key: str) -> list[Place]:
        value = fields.fields[key][1] if has(fields, key) else None
        return [item.place for item in value.items] if isinstance(value, Items) else []

    def near(self, text: Text, line: int, word: str) -> Place:
        """Where the word stands in that line of the template."""
        place = text.line_of(line)
        written = self._lines[place.line - 1] if place.line <= len(self._lines) else ""
        at = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", written[place.column - 1 :])
        if not word or at is None:
            return place
        return replace(place, column=place.column + at.start())


def choose(name: str, known: Iterable[str]) -> str:
    names = [one for one in known if one]
    close = process.extractOne(name[:80], names, score_cutoff=60) if name else None
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(names)}." if names else ""


def has(fields: Fields, name: str) -> bool:
    return name in fields.fields


def at(fields: Fields, name: str) -> Place:
    """Where the value of that name stands, or would."""
    return fields.fields[name][1].place if name in fields.fields else fields.place


def text_at(fields: Fields, name: str) -> Text | None:
    value: Mapping[str, tuple[Place, Tree]] = fields.fields
    found = value[name][1] if name in value else None
    return found if isinstance(found, Text) and not (found.plain and found.kind == "null") else None
