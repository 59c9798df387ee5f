"""What persona is asked: who is there, who is this, and please have the built-in ones ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from rapidfuzz import fuzz, process

from contracts.failures import NotFound
from contracts.ids import TOKEN
from contracts.personas import GetPersona, GetPersonas, PersonaList, PersonaView, SeedPersonas
from services.persona.library import built_ins
from services.persona.store import Store
from shared.bus import Verb

_LIKE = 60
"""Of 100: from here on one name may be meant by another (rapidfuzz's WRatio)."""
_NEAREST = 3

log = structlog.stdlib.get_logger("persona")


class Inbox:
    """The verbs of persona."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def verbs(self) -> Sequence[Verb[Any]]:
        return [
            Verb("get", GetPersona, self.get),
            Verb("list", GetPersonas, self.list),
            Verb("seed", SeedPersonas, self.seed),
        ]

    async def get(self, command: GetPersona) -> PersonaView:
        found = None
        if TOKEN.match(command.slug):  # nothing else was ever a slug, and PostgreSQL refuses NUL
            found = await self._store.find(command.workspace, command.slug)
        if found is None:
            everyone = await self._store.everyone(command.workspace)
            raise NotFound(
                f"No persona is called {command.slug[:80]!r}.",
                slug="unknown-persona",
                title="There is no such persona",
                next_step="Take one of the nearest names; GET /api/v1/personas lists them all.",
                nearest=nearest(command.slug, everyone),
            )
        return found

    async def list(self, command: GetPersonas) -> PersonaList:
        return PersonaList([*await self._store.everyone(command.workspace)])

    async def seed(self, command: SeedPersonas) -> PersonaList:
        """Answers all personas of the workspace, as they are afterwards."""
        for built_in in built_ins():
            for event in await self._store.change(built_in.seed(command.workspace)):
                log.info("seeded", persona=built_in.slug, happened=type(event).__name__)
        return await self.list(GetPersonas(workspace=command.workspace))


def nearest(wanted: str, everyone: Sequence[PersonaView]) -> list[str]:
    """Slugs that may have been meant, the likeliest first; all of them if none resembles it."""
    known = {one.slug: f"{one.slug} {one.name} {one.title}".lower() for one in everyone}
    like = process.extract(
        wanted[:200].lower(), known, scorer=fuzz.WRatio, limit=_NEAREST, score_cutoff=_LIKE
    )
    return [slug for _, _, slug in like] or list(known)
