"""Addresses of the persona library."""

from __future__ import annotations

from contracts.personas import PersonasImported
from services.edge import personas
from services.edge.call import Route
from services.edge.persona_bodies import ImportBody, PersonaBody, PersonasQuery, RevisionBody
from services.edge.routes.who import API, ASKERS, READERS

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{API}/personas",
        answer=personas.list_them,
        roles=READERS,
        summary="List personas",
        tag="personas",
        query=PersonasQuery,
        gives=personas.PersonasAnswer,
    ),
    Route(
        method="POST",
        path=f"{API}/personas",
        answer=personas.create_one,
        roles=ASKERS,
        summary="Create a persona",
        tag="personas",
        body=PersonaBody,
        gives=personas.PersonaAnswer,
        status=201,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/personas/export",
        answer=personas.export_all,
        roles=READERS,
        summary="Export all personas as one document",
        tag="personas",
        gives=personas.PersonasDocument,
    ),
    Route(
        method="POST",
        path=f"{API}/personas/import",
        answer=personas.import_them,
        roles=ASKERS,
        summary="Import a document of personas: all of them or none",
        tag="personas",
        body=ImportBody,
        gives=PersonasImported,
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{API}/personas/{{slug}}",
        answer=personas.read_one,
        roles=READERS,
        summary="Read a persona, and how its default model stands",
        tag="personas",
        gives=personas.PersonaAnswer,
    ),
    Route(
        method="PUT",
        path=f"{API}/personas/{{slug}}",
        answer=personas.revise_one,
        roles=ASKERS,
        summary="Make a persona's next version; brings back an archived one",
        tag="personas",
        body=RevisionBody,
        gives=personas.PersonaAnswer,
    ),
    Route(
        method="DELETE",
        path=f"{API}/personas/{{slug}}",
        answer=personas.archive_one,
        roles=ASKERS,
        summary="Archive a persona; nobody can ask it until it is revised",
        tag="personas",
        status=204,
    ),
    Route(
        method="GET",
        path=f"{API}/personas/{{slug}}/export",
        answer=personas.export_one,
        roles=READERS,
        summary="Export one persona as a document",
        tag="personas",
        gives=personas.PersonasDocument,
    ),
)
