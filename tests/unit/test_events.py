"""Events are for ever: what was written once can be read by every later version."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.event import Event, EventFamily, UnknownEvent, name_of, tag_of
from contracts.stream import StreamChunk
from tests.contract_examples import EVENTS, FAMILIES, GOLDEN, any_of, example, golden_file

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def read(document: dict[str, Any]) -> msgspec.Struct:
    """Whichever of our events this is."""
    tag: str = document["type"]
    for family in FAMILIES:
        if tag.startswith(f"{family.service}."):
            return family.read(document)
    by_tag = {str(cls.__struct_config__.tag): cls for cls in EVENTS}
    return msgspec.convert(document, by_tag[tag])


def test_every_event_has_a_golden_file() -> None:
    missing = [golden_file(cls).name for cls in EVENTS if not golden_file(cls).exists()]
    assert not missing, "write them with `python -m tests.contract_examples`, and look at them"


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.json")), ids=lambda file: file.stem)
def test_what_was_written_once_is_still_read_whole(file: Path) -> None:
    document = json.loads(file.read_text())
    assert document["type"] == file.stem
    now = msgspec.to_builtins(read(document))
    if now["type"] == document["type"]:
        lost = {key: value for key, value in document.items() if now.get(key) != value}
        assert not lost


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_a_field_that_was_not_there_yet_has_a_default(cls: type[msgspec.Struct]) -> None:
    """Only what stands in the golden file may be required."""
    golden = json.loads(golden_file(cls).read_text())
    required = {
        field.encode_name
        for field in msgspec.structs.fields(cls)
        if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
    }
    assert required <= set(golden)


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_an_event_comes_back_as_it_went(cls: type[msgspec.Struct]) -> None:
    @settings(max_examples=10, deadline=None)
    @given(any_of(cls))
    def comes_back(event: msgspec.Struct) -> None:
        assert read(msgspec.json.decode(msgspec.json.encode(event))) == event
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event

    comes_back()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.service)
def test_tags_are_unique_and_say_whose_they_are(family: EventFamily[Event]) -> None:
    tags = [tag_of(cls) for cls in family.classes]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        service, name, version = tag.split(".")
        assert service == family.service
        assert name.replace("_", "").isalpha()
        assert version[0] == "v"
        assert int(version[1:]) >= 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.service)
def test_names_are_unique_in_a_family(family: EventFamily[Event]) -> None:
    names = [name_of(cls) for cls in family.classes]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.service)
def test_words_can_be_forgotten(family: EventFamily[Event]) -> None:
    for cls in family.classes:
        fields = {field.name: field for field in msgspec.structs.fields(cls)}
        for word in cls.WORDS:
            field = fields[word]
            assert not field.required, f"{cls.__name__}.{word} has no default to fall back to"
        document = msgspec.to_builtins(example(cls))
        without = {key: value for key, value in document.items() if key not in cls.WORDS}
        assert isinstance(family.read(without), cls)


def test_an_unknown_field_is_passed_over() -> None:
    family = FAMILIES[0]
    cls = family.classes[0]
    document = msgspec.to_builtins(example(cls)) | {"from the future": 1}
    assert family.read(document) == example(cls)


@pytest.mark.parametrize("tag", ["discussion.exploded.v1", "", "discussion.opened.v99"])
def test_an_unknown_event_is_named(tag: str) -> None:
    with pytest.raises(UnknownEvent) as caught:
        FAMILIES[0].decode(json.dumps({"type": tag, "at": NOON.isoformat()}).encode())
    assert caught.value.tag == tag


def test_a_document_without_a_type_is_no_event() -> None:
    with pytest.raises(UnknownEvent):
        FAMILIES[0].decode(b"{}")


# --- Upcasting, on a family made up for it --------------------------------------------------


class Moved(Event, frozen=True, kw_only=True, tag="demo.moved.v3"):
    street: str
    number: int
    town: str = "somewhere"


def split_address(old: dict[str, Any]) -> dict[str, Any]:
    street, _, number = old["address"].rpartition(" ")
    rest = {key: value for key, value in old.items() if key != "address"}
    return rest | {"type": "demo.moved.v2", "street": street, "number": number}


def count_the_houses(old: dict[str, Any]) -> dict[str, Any]:
    return old | {"type": "demo.moved.v3", "number": int(old["number"])}


DEMO: EventFamily[Moved] = EventFamily(
    service="demo",
    classes=(Moved,),
    upcasters={"demo.moved.v1": split_address, "demo.moved.v2": count_the_houses},
)


@given(st.text(), st.integers(0, 9999))
def test_an_old_event_is_brought_up_step_by_step(street: str, number: int) -> None:
    first = {"type": "demo.moved.v1", "at": NOON.isoformat(), "address": f"{street} {number}"}
    second = {
        "type": "demo.moved.v2",
        "at": NOON.isoformat(),
        "street": street,
        "number": str(number),
    }
    third = Moved(at=NOON, street=street, number=number)
    before = dict(first)
    assert DEMO.read(first) == DEMO.read(second) == third
    assert DEMO.decode(msgspec.json.encode(third)) == third
    assert first == before, "the document itself is not touched"


def test_a_chunk_says_which_attempt_kind_and_place_it_is_of() -> None:
    """Others read chunks too; this is their wire form to the letter."""
    document = json.loads(golden_file(StreamChunk).read_text())
    assert set(document) == {"type", "turn", "attempt", "kind", "offset", "text"}
