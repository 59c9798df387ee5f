"""What people may send about personas: a new one, its next version, a document of several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from contracts.personas import NAME, PROMPT, Description, PersonaRecord, is_slug, slug_of
from services.edge.bodies import Body, Name, printable, visible

MOST = 1_000
"""Personas of one document."""


def _slug(text: str) -> str:
    if not is_slug(text):
        raise PydanticCustomError(
            "not_a_slug",
            "has small letters, digits and dashes between them, 64 at most, e.g. ada-lovelace; "
            "export and import are taken",
        )
    return text


def _color(text: str) -> str:
    digits = text.removeprefix("#").lower()
    if text and (len(text) != 7 or len(digits) != 6 or set(digits) - set("0123456789abcdef")):
        raise PydanticCustomError("not_a_color", "is a colour as #rrggbb, e.g. #c2410c")
    return text


Slug = Annotated[str, AfterValidator(_slug)]


class PersonaSettings(Body):
    """What a persona is, whole: what is left out is empty from now on."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=NAME),
        AfterValidator(printable),
        AfterValidator(visible),
    ]
    """As people read it, e.g. `Ada Lovelace`."""
    title: Annotated[
        str,
        Field(min_length=1, max_length=2 * NAME),
        AfterValidator(printable),
        AfterValidator(visible),
    ]
    """What they do, in a few words."""
    prompt: Annotated[str, Field(min_length=1, max_length=PROMPT), AfterValidator(visible)]
    """The instructions that each of its answers follows."""
    model: Name | None = None
    """Default model, `provider/model`; left out: whatever is best."""
    color: Annotated[str, AfterValidator(_color)] = ""
    """`#rrggbb`, to tell it from others."""

    def description(self) -> Description:
        """In our own form."""
        return Description(
            name=self.name,
            title=self.title,
            prompt=self.prompt,
            model=self.model or "",
            color=self.color,
        )


class PersonaBody(PersonaSettings):
    """A new persona."""

    slug: Slug | None = None
    """What it is called in addresses, for ever; left out: made of the name."""

    def chosen_slug(self) -> str:
        """Empty where the name suggests none."""
        return self.slug or slug_of(self.name)


class RevisionBody(PersonaSettings):
    """The next version of a persona."""

    version: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """The version that you changed: if there is a newer one by now, 409 instead of losing it."""


class RecordBody(PersonaSettings):
    """A persona in a document."""

    slug: Slug

    def record(self) -> PersonaRecord:
        return PersonaRecord(
            slug=self.slug,
            name=self.name,
            title=self.title,
            prompt=self.prompt,
            model=self.model or "",
            color=self.color,
        )


class ImportBody(Body):
    """A document as the export gives it."""

    format: Literal["parley.personas.v1"]
    personas: Annotated[list[RecordBody], Field(min_length=1, max_length=MOST)]
    existing: Literal["revise", "keep"] = "revise"
    """What becomes of a persona that is there and differs, or was archived: its next version, or
    as it is."""


class PersonasQuery(BaseModel):
    """Which personas."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    archived: bool = False
    """Those that were archived, instead of those that are there."""
