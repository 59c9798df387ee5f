"""What persona is asked: who is there, who is this, change it, have the built-in ones ready."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
import structlog
from rapidfuzz import fuzz, process

from contracts.failures import Conflict, Invalid, NotFound
from contracts.ids import TOKEN
from contracts.keys import Done
from contracts.personas import (
    ArchivePersona,
    CreatePersona,
    GetPersona,
    GetPersonas,
    ImportPersonas,
    PersonaCreated,
    PersonaImported,
    PersonaList,
    PersonasImported,
    PersonaView,
    RevisePersona,
    SeedPersonas,
    is_slug,
)
from services.persona.aggregate import (
    Archive,
    Create,
    Import,
    IsArchived,
    NoSuchPersona,
    Outdated,
    Revise,
    SlugTaken,
)
from services.persona.library import built_ins
from services.persona.store import Changed, Store
from shared.bus import Verb

_LIKE = 60
"""Of 100: from here on one name may be meant by another (rapidfuzz's WRatio)."""
_NEAREST = 3

PAGE_BYTES = 2 << 20
"""Of one answer, unless a single persona has more: the broker takes 8 MB at most."""

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
            Verb("create", CreatePersona, self.create),
            Verb("revise", RevisePersona, self.revise),
            Verb("archive", ArchivePersona, self.archive),
            Verb("import", ImportPersonas, self.import_all),
        ]

    async def get(self, command: GetPersona) -> PersonaView:
        found = None
        if TOKEN.match(command.slug):  # nothing else was ever a slug, and PostgreSQL refuses NUL
            found = await self._store.find(command.workspace, command.slug)
        if found is None:
            raise await self._unknown(command.workspace, command.slug)
        if found.archived:
            raise NotFound(
                f"{found.name} was archived.",
                slug="archived-persona",
                title="This persona is archived",
                next_step=f"PUT /api/v1/personas/{found.slug} brings it back as its next version; "
                "GET /api/v1/personas?archived=true shows what it was.",
            )
        return found

    async def list(self, command: GetPersonas) -> PersonaList:
        found = await self._store.everyone(command.workspace, archived=command.archived)
        page: list[PersonaView] = []
        size = 0
        for one in found:
            if one.slug <= command.after:
                continue
            size += len(msgspec.json.encode(one))
            if page and size > PAGE_BYTES:
                return PersonaList(page, next=page[-1].slug)
            page.append(one)
        return PersonaList(page)

    async def seed(self, command: SeedPersonas) -> PersonaList:
        """Answers the personas of the workspace, as they are afterwards."""
        for built_in in built_ins():
            changed = await self._store.change(built_in.seed(command.workspace))
            for event in changed.events:
                log.info("seeded", persona=built_in.slug, happened=type(event).__name__)
        return await self.list(GetPersonas(workspace=command.workspace))

    async def create(self, command: CreatePersona) -> PersonaView:
        _check_slugs([command.slug])
        wish = Create(
            workspace=command.workspace,
            slug=command.slug,
            description=command.description,
            by=command.by,
        )

        def made(changes: Sequence[Changed]) -> PersonaView:
            return changes[0].persona

        with _explained():
            return await self._store.once(
                [wish],
                key=_key("create", command),
                body_hmac=command.body_hmac,
                answer=PersonaView,
                answered=made,
            )

    async def revise(self, command: RevisePersona) -> PersonaView:
        wish = Revise(
            workspace=command.workspace,
            slug=command.slug,
            description=command.description,
            by=command.by,
            version=command.version,
        )
        return (await self._known(wish)).persona

    async def archive(self, command: ArchivePersona) -> Done:
        wish = Archive(workspace=command.workspace, slug=command.slug, by=command.by)
        await self._known(wish)
        return Done()

    async def import_all(self, command: ImportPersonas) -> PersonasImported:
        _check_slugs([one.slug for one in command.personas])
        wishes = [
            Import(
                workspace=command.workspace,
                slug=one.slug,
                description=one.description(),
                by=command.by,
                existing=command.existing,
            )
            for one in command.personas
        ]

        def imported(changes: Sequence[Changed]) -> PersonasImported:
            return PersonasImported([_imported(one, command.existing) for one in changes])

        return await self._store.once(
            wishes,
            key=_key("import", command),
            body_hmac=command.body_hmac,
            answer=PersonasImported,
            answered=imported,
        )

    async def _known(self, wish: Revise | Archive) -> Changed:
        """Carry it out on a persona that there is."""
        if not TOKEN.match(wish.slug):
            raise await self._unknown(wish.workspace, wish.slug)
        try:
            with _explained():
                return await self._store.change(wish)
        except NoSuchPersona:
            raise await self._unknown(wish.workspace, wish.slug) from None

    async def _unknown(self, workspace: str, slug: str) -> NotFound:
        everyone = await self._store.everyone(workspace)
        return NotFound(
            f"No persona is called {slug[:80]!r}.",
            slug="unknown-persona",
            title="There is no such persona",
            next_step="Take one of the nearest names; GET /api/v1/personas lists them all. "
            "POST /api/v1/personas makes a new one.",
            nearest=nearest(slug, everyone),
        )


def _key(verb: str, command: CreatePersona | ImportPersonas) -> str:
    key = command.idempotency_key
    return f"{command.workspace}/{verb}/{key}" if key else ""


def _check_slugs(slugs: Sequence[str]) -> None:
    for at, slug in enumerate(slugs):
        if not is_slug(slug):
            raise Invalid(
                f"{slug[:80]!r} cannot be a persona's slug.",
                slug="bad-slug",
                title="This slug cannot be used",
                errors=[
                    {"field": "slug", "message": "small letters, digits and dashes, 64 at most"}
                ],
                next_step="Use small letters, digits and dashes between them, e.g. ada-lovelace; "
                "export and import are taken.",
            )
        if slug in slugs[:at]:
            raise Invalid(
                f"{slug!r} is there twice.",
                slug="slug-twice",
                title="Two personas have one slug",
                next_step="Keep one of the two, or give one another slug.",
            )


@contextmanager
def _explained() -> Generator[None]:
    """What the persona's own rules reject, told to whoever asked."""
    try:
        yield
    except SlugTaken as taken:
        raise Conflict(
            f"There is a persona called {taken.slug}.",
            slug="slug-taken",
            title="This slug is taken",
            next_step=f"Choose another slug, or revise the one there is: "
            f"PUT /api/v1/personas/{taken.slug}.",
        ) from taken
    except IsArchived as archived:
        raise Conflict(
            f"{archived.slug} names a persona that was archived.",
            slug="archived-persona",
            title="This persona is archived",
            next_step=f"PUT /api/v1/personas/{archived.slug} brings it back as its next version; "
            "or choose another slug.",
        ) from archived
    except Outdated as outdated:
        raise Conflict(
            f"Somebody else has revised {outdated.slug}: it is at version {outdated.newest}.",
            slug="outdated-version",
            title="There is a newer version",
            next_step=f"Read it (GET /api/v1/personas/{outdated.slug}), make your change to that, "
            f"and send version {outdated.newest}.",
        ) from outdated


def _imported(changed: Changed, existing: Literal["revise", "keep"]) -> PersonaImported:
    persona = changed.persona
    outcome: Literal["created", "revised", "unchanged", "kept"]
    if any(isinstance(event, PersonaCreated) for event in changed.events):
        outcome = "created"
    elif changed.events:
        outcome = "revised"
    else:
        outcome = "kept" if existing == "keep" else "unchanged"
    return PersonaImported(slug=persona.slug, version=persona.version, outcome=outcome)


def nearest(wanted: str, everyone: Sequence[PersonaView]) -> list[str]:
    """Slugs that may have been meant, the likeliest first; all of them if none resembles it."""
    known = {one.slug: f"{one.slug} {one.name} {one.title}".lower() for one in everyone}
    like = process.extract(
        wanted[:200].lower(), known, scorer=fuzz.WRatio, limit=_NEAREST, score_cutoff=_LIKE
    )
    return [slug for _, _, slug in like] or list(known)
