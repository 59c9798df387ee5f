"""Personas: who can take part in a discussion, and what is stated about them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from contracts.event import Event, EventFamily

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


class PersonaArchived(Event, frozen=True, kw_only=True, tag="persona.archived.v1"):
    workspace: str
    persona: str
    slug: str


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


class SeedPersonas(Struct, frozen=True, kw_only=True):
    """`seed`: make sure that the built-in personas are there, as this version has them."""

    workspace: str


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


class PersonaList(Struct, frozen=True):
    items: list[PersonaView]
