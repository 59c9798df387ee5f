"""Personas: who can take part in a discussion, and what is stated about them."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Literal

from msgspec import Struct

from contracts.event import Event, EventFamily

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z", re.ASCII)
"""What a persona may be called in addresses: small letters, digits, dashes between them."""

RESERVED = frozenset({"export", "import"})
"""Slugs that mean something else in addresses."""

NAME = 100
"""Characters of a name, and of a title twice as many."""

PROMPT = 20_000
"""Characters of the instructions; they go out with every question."""

FORMAT = "parley.personas.v1"
"""What an exported document says it is."""


def slug_of(name: str) -> str:
    """The slug that a name suggests; empty where it has no Latin letter and no digit."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].strip("-")


def is_slug(value: str) -> bool:
    return SLUG.match(value) is not None and value not in RESERVED


# --- Events ---------------------------------------------------------------------------------


class PersonaCreated(Event, frozen=True, kw_only=True, tag="persona.created.v1"):
    workspace: str
    persona: str
    slug: str
    name: str
    title: str
    prompt: str
    model: str = ""
    """Preferred `provider/model`, empty for whatever is best."""
    built_in: bool = False
    color: str = ""
    created_by: str = ""


class PersonaRevised(Event, frozen=True, kw_only=True, tag="persona.revised.v1"):
    workspace: str
    persona: str
    slug: str
    version: int
    name: str
    title: str
    prompt: str
    model: str = ""
    color: str = ""
    revised_by: str = ""
    """Whose token; empty: the version of Parley that was started brought it along."""


class PersonaArchived(Event, frozen=True, kw_only=True, tag="persona.archived.v1"):
    """Put away: nobody can ask it any more. A revision brings it back."""

    workspace: str
    persona: str
    slug: str
    archived_by: str = ""


PersonaEvent = PersonaCreated | PersonaRevised | PersonaArchived

PERSONA_EVENTS: EventFamily[Event] = EventFamily(
    service="persona", classes=(PersonaCreated, PersonaRevised, PersonaArchived)
)

# --- What may be asked: parley.cmd.persona.<verb> -------------------------------------------


class GetPersona(Struct, frozen=True, kw_only=True):
    """`get`: by slug; NotFound names the nearest slugs."""

    workspace: str
    slug: str


class GetPersonas(Struct, frozen=True, kw_only=True):
    """`list`"""

    workspace: str
    archived: bool = False
    """Those that were put away, instead of those that are there."""
    after: str = ""
    """`next` of the page before."""


class SeedPersonas(Struct, frozen=True, kw_only=True):
    """`seed`: make sure that the built-in personas are there, as this version has them."""

    workspace: str


class Description(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a persona is; any change of it makes a new version."""

    name: str
    title: str
    prompt: str
    model: str = ""
    """Preferred `provider/model`, empty for whatever is best."""
    color: str = ""


class CreatePersona(Struct, frozen=True, kw_only=True):
    """`create`: answers PersonaView. Conflict if the slug is taken, also by one put away."""

    workspace: str
    slug: str
    description: Description
    by: str
    idempotency_key: str = ""
    body_hmac: bytes = b""


class RevisePersona(Struct, frozen=True, kw_only=True):
    """`revise`: its next version, answers PersonaView; the same again changes nothing. It brings
    back one that was put away.
    """

    workspace: str
    slug: str
    description: Description
    by: str
    version: int | None = None
    """The version that was changed: Conflict if there is a newer one by now. None: whichever."""


class ArchivePersona(Struct, frozen=True, kw_only=True):
    """`archive`: put away; doing it twice changes nothing."""

    workspace: str
    slug: str
    by: str


class PersonaRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A persona in a document that can be taken elsewhere."""

    slug: str
    name: str
    title: str
    prompt: str
    model: str = ""
    color: str = ""

    def description(self) -> Description:
        """What it is, without what it is called."""
        return Description(
            name=self.name,
            title=self.title,
            prompt=self.prompt,
            model=self.model,
            color=self.color,
        )


class ImportPersonas(Struct, frozen=True, kw_only=True):
    """`import`: all of them or, where one is refused, none; answers PersonasImported."""

    workspace: str
    personas: list[PersonaRecord]
    by: str
    existing: Literal["revise", "keep"] = "revise"
    """What becomes of one that is there and differs, or was put away: its next version, or as is.
    """
    idempotency_key: str = ""
    body_hmac: bytes = b""


class PersonaImported(Struct, frozen=True, kw_only=True):
    slug: str
    version: int
    outcome: Literal["created", "revised", "unchanged", "kept"]


class PersonasImported(Struct, frozen=True):
    items: list[PersonaImported]


class PersonaView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    slug: str
    name: str
    title: str
    """What they do, in a few words: "social media strategist"."""
    version: int
    prompt: str
    model: str = ""
    built_in: bool = False
    color: str = ""
    updated_at: datetime | None = None
    archived: bool = False


class PersonaList(Struct, frozen=True):
    """A page, in the order of slugs; one message of the broker has room for only so much."""

    items: list[PersonaView]
    next: str = ""
    """Where the next page begins; empty on the last."""
