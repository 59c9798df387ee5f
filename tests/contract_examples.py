"""Examples of what crosses a service boundary, made from the classes themselves.

`python -m tests.contract_examples` writes a golden file for each event that has none yet. It never
changes one: what was written once must be readable for ever.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from contracts.discussion_events import DISCUSSION_EVENTS
from contracts.event import Event, EventFamily
from contracts.keys import KEY_EVENTS
from contracts.personas import PERSONA_EVENTS
from contracts.stream import ProviderError, StreamChunk, StreamCompleted, StreamStarted

FAMILIES: tuple[EventFamily[Event], ...] = (DISCUSSION_EVENTS, KEY_EVENTS, PERSONA_EVENTS)
ON_THE_WIRE: tuple[type[msgspec.Struct], ...] = (
    StreamChunk,
    StreamStarted,
    StreamCompleted,
    ProviderError,
)
"""Not in any journal, but read by others all the same."""

EVENTS: tuple[type[msgspec.Struct], ...] = (
    *(cls for family in FAMILIES for cls in family.classes),
    *ON_THE_WIRE,
)

GOLDEN = Path(__file__).parent / "golden"

_INT64 = st.integers(-(2**63), 2**63 - 1)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | _INT64
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def golden_file(cls: type[msgspec.Struct]) -> Path:
    """Where the golden file of an event lies: under its eternal name."""
    return GOLDEN / f"{cls.__struct_config__.tag}.json"


# --- One telling example --------------------------------------------------------------------


def example(cls: type[msgspec.Struct]) -> msgspec.Struct:
    """One with every field filled, so that nothing of it can be lost unseen."""
    made: msgspec.Struct = _example(inspect.type_info(cls), "")
    return made


def _example(kind: inspect.Type, name: str) -> Any:
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            return cls(**{field.name: _example(field.type, field.name) for field in fields})
        case inspect.UnionType(types=types):
            return _example(next(t for t in types if not isinstance(t, inspect.NoneType)), name)
        case inspect.ListType(item_type=item):
            return [_example(item, name)]
        case inspect.DictType(value_type=value):
            return {"one": _example(value, name)}
        case inspect.EnumType(cls=cls):
            return next(iter(cls))
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.StrType():
            return f"the {name.rstrip('_')}: “ümläut” ✓"
        case _:
            return _EXAMPLES[type(kind)]


_EXAMPLES: dict[type[inspect.Type], Any] = {
    inspect.BoolType: True,
    inspect.IntType: 42,
    inspect.FloatType: 1.5,
    inspect.DateTimeType: datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC),
    inspect.DecimalType: Decimal("0.00042"),
    inspect.BytesType: b"\x00\xff",
    inspect.AnyType: {"any": ["thing", 1, None]},
}


# --- All kinds of them ----------------------------------------------------------------------


def any_of(cls: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    """Every event of a class that could be."""
    return _any_of(inspect.type_info(cls))


def _any_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _any_of(field.type) for field in fields})
        case inspect.UnionType(types=types):
            return st.one_of(*(_any_of(each) for each in types))
        case inspect.ListType(item_type=item):
            return st.lists(_any_of(item), max_size=2)
        case inspect.DictType(value_type=value):
            return st.dictionaries(st.text(max_size=4), _any_of(value), max_size=2)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case _:
            return _PLAIN[type(kind)]


_PLAIN: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.NoneType: st.none(),
    inspect.StrType: st.text(max_size=8),
    inspect.BoolType: st.booleans(),
    inspect.IntType: _INT64,
    inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
    inspect.DateTimeType: st.datetimes(timezones=st.just(UTC)),
    inspect.DecimalType: st.decimals(allow_nan=False, allow_infinity=False),
    inspect.BytesType: st.binary(max_size=8),
    inspect.AnyType: _JSON,
}


def write_missing() -> None:
    """A golden file for each event that has none."""
    GOLDEN.mkdir(exist_ok=True)
    for cls in EVENTS:
        file = golden_file(cls)
        if not file.exists():
            document = msgspec.to_builtins(example(cls))
            file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
            sys.stdout.write(f"wrote {file.name}\n")


if __name__ == "__main__":
    write_missing()
