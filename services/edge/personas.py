"""Personas over HTTP: who can take part, made and changed by whoever may ask; and whether the model
that each prefers can still be had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from contracts.failures import Invalid, NotFound, Refused, TimedOut, Unreachable
from contracts.ids import TOKEN
from contracts.keys import Done
from contracts.personas import (
    FORMAT,
    ArchivePersona,
    CreatePersona,
    GetPersona,
    GetPersonas,
    ImportPersonas,
    PersonaList,
    PersonaRecord,
    PersonasImported,
    PersonaView,
    RevisePersona,
)
from contracts.standing import ModelStanding, ModelStandings, ResolveModels
from services.edge.asks import ask
from services.edge.call import Call, plain
from services.edge.persona_bodies import (
    ImportBody,
    PersonaBody,
    PersonaSettings,
    PersonasQuery,
    RevisionBody,
)
from shared.bus import Bus


class PersonaAnswer(PersonaView, frozen=True, kw_only=True, omit_defaults=True):
    """A persona as it is, and how its default model stands."""

    default_model_status: ModelStanding | UnsetType = UNSET
    """Left out where it has no default model, or where that cannot be told just now."""


class PersonasAnswer(Struct, frozen=True):
    items: list[PersonaAnswer]


class PersonasDocument(Struct, frozen=True, kw_only=True):
    """Personas to be taken elsewhere; `POST /api/v1/personas/import` takes it as it is."""

    personas: list[PersonaRecord]
    format: str = FORMAT


# --- Reading ------------------------------------------------------------------------------------


async def list_them(call: Call) -> web.StreamResponse:
    """All personas of the workspace."""
    found = await everyone(
        call.tools.bus, call.workspace, archived=call.query(PersonasQuery).archived
    )
    return plain(PersonasAnswer(await _told(call, found)))


async def read_one(call: Call) -> web.StreamResponse:
    """One persona, with its prompt."""
    return plain(*await _told(call, [await _get(call)]))


async def export_all(call: Call) -> web.StreamResponse:
    """All personas as one document."""
    return _document(await everyone(call.tools.bus, call.workspace), "personas")


async def export_one(call: Call) -> web.StreamResponse:
    """One persona as a document."""
    persona = await _get(call)
    return _document([persona], persona.slug)


async def everyone(bus: Bus, workspace: str, *, archived: bool = False) -> list[PersonaView]:
    """All of them, however much they have to say: a page at a time."""
    found: list[PersonaView] = []
    after = ""
    while True:
        command = GetPersonas(workspace=workspace, archived=archived, after=after)
        page = await ask(bus, "persona", "list", command, PersonaList)
        found += page.items
        after = page.next
        if not after:
            return found


# --- Changing -----------------------------------------------------------------------------------


async def create_one(call: Call) -> web.StreamResponse:
    """A persona of one's own: 201 with its address."""
    body = await call.body(PersonaBody)
    slug = body.chosen_slug()
    if not slug:
        raise Invalid(
            "The name has no Latin letter and no digit to make a slug of.",
            slug="bad-slug",
            title="A slug is needed",
            errors=[{"field": "slug", "message": "cannot be made of this name"}],
            next_step="Send a slug too: small letters, digits and dashes, e.g. ada-lovelace.",
        )
    await _check_model(call, body)
    command = CreatePersona(
        workspace=call.workspace,
        slug=slug,
        description=body.description(),
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    persona = await ask(call.tools.bus, "persona", "create", command, PersonaView)
    (answer,) = await _told(call, [persona])
    return plain(answer, status=201, headers={"Location": f"/api/v1/personas/{persona.slug}"})


async def revise_one(call: Call) -> web.StreamResponse:
    """Its next version; discussions that run keep to the one they began with."""
    body = await call.body(RevisionBody)
    before = await _before(call)
    if body.model is not None and body.model != before.model:
        await _check_model(call, body)
    command = RevisePersona(
        workspace=call.workspace,
        slug=before.slug,
        description=body.description(),
        by=call.who.token,
        version=body.version,
    )
    return plain(
        *await _told(call, [await ask(call.tools.bus, "persona", "revise", command, PersonaView)])
    )


async def archive_one(call: Call) -> web.StreamResponse:
    """Nobody can ask it any more; a revision brings it back."""
    command = ArchivePersona(workspace=call.workspace, slug=_slug(call), by=call.who.token)
    await ask(call.tools.bus, "persona", "archive", command, Done)
    return web.Response(status=204)


async def import_them(call: Call) -> web.StreamResponse:
    """All of a document or, where one is refused, none. Their models need not be here."""
    body = await call.body(ImportBody)
    command = ImportPersonas(
        workspace=call.workspace,
        personas=[one.record() for one in body.personas],
        by=call.who.token,
        existing=body.existing,
        idempotency_key=call.idempotency_key(),
        body_hmac=call.body_hmac(),
    )
    return plain(await ask(call.tools.bus, "persona", "import", command, PersonasImported))


# --- Which one ----------------------------------------------------------------------------------


def _slug(call: Call) -> str:
    slug = call.segments["slug"]
    if TOKEN.match(slug) is None:
        raise NotFound("No persona is called that.", next_step="GET /api/v1/personas lists them.")
    return slug


async def _get(call: Call) -> PersonaView:
    command = GetPersona(workspace=call.workspace, slug=_slug(call))
    return await ask(call.tools.bus, "persona", "get", command, PersonaView)


async def _before(call: Call) -> PersonaView:
    """As it was, also if it was archived."""
    try:
        return await _get(call)
    except NotFound as refused:
        if refused.problem.type == "archived-persona":
            for one in await everyone(call.tools.bus, call.workspace, archived=True):
                if one.slug == call.segments["slug"]:
                    return one
        raise


def _document(personas: Sequence[PersonaView], name: str) -> web.Response:
    records = [
        PersonaRecord(
            slug=one.slug,
            name=one.name,
            title=one.title,
            prompt=one.prompt,
            model=one.model,
            color=one.color,
        )
        for one in personas
    ]
    disposition = f'attachment; filename="{name}.parley.json"'
    return plain(PersonasDocument(personas=records), headers={"Content-Disposition": disposition})


# --- Their models -------------------------------------------------------------------------------


async def _check_model(call: Call, body: PersonaSettings) -> None:
    """A default model that nobody could ask is refused, with what could be asked."""
    if body.model is None:
        return
    command = ResolveModels(workspace=call.workspace, models=[body.model])
    (found,) = (await ask(call.tools.bus, "discussion", "resolve", command, ModelStandings)).items
    if found.state != "available":
        raise Invalid(
            found.detail,
            slug=found.reason,
            title="This default model cannot be had",
            errors=[{"field": "model", "message": found.detail}],
            nearest=found.nearest,
            successor=found.successor,
            next_step=f"{found.next_step} Without a default model the best available one answers.",
        )


async def _told(call: Call, personas: Sequence[PersonaView]) -> list[PersonaAnswer]:
    stands = await _standings(call, personas)
    return [
        PersonaAnswer(**asdict(one), default_model_status=stands.get(one.model, UNSET))
        for one in personas
    ]


async def _standings(call: Call, personas: Sequence[PersonaView]) -> Mapping[str, ModelStanding]:
    models = sorted({one.model for one in personas if one.model})
    if not models:
        return {}
    command = ResolveModels(workspace=call.workspace, models=models)
    try:
        found = await ask(call.tools.bus, "discussion", "resolve", command, ModelStandings)
    except (Refused, Unreachable, TimedOut):
        return {}  # the personas themselves can be told
    return {one.wanted: one for one in found.items}
