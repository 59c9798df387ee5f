"""Models and providers over HTTP: what can be used now, and what stands in the way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web
from msgspec import Struct, structs
from rapidfuzz import process

from contracts.endpoints import CustomProvider, row_of
from contracts.failures import NotFound, Refused, TimedOut, Unreachable
from contracts.keys import EndpointView
from contracts.providers import PROVIDERS, Provider
from contracts.supply import (
    CatalogsRefreshed,
    ListModels,
    ListProviders,
    ModelList,
    ProviderList,
    ProviderView,
    RefreshModels,
    SetLimits,
)
from services.edge import endpoints
from services.edge.asks import ask
from services.edge.bodies import LimitsBody
from services.edge.call import Call, plain


class RegionAnswer(Struct, frozen=True, kw_only=True):
    """One of a vendor's hosts; a key belongs to the one that it was made for."""

    name: str
    endpoint: str


class ProviderAnswer(ProviderView, frozen=True, kw_only=True, omit_defaults=True):
    """How a provider stands, and what a person needs to know to add a key of it."""

    needs_key: bool
    regions: list[RegionAnswer]
    docs: str


class ProvidersAnswer(Struct, frozen=True):
    items: list[ProviderAnswer]


async def list_models(call: Call) -> web.StreamResponse:
    """Models by `provider/model`, as the providers' own lists have them."""
    command = ListModels(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "discussion", "models", command, ModelList))


async def refresh_models(call: Call) -> web.StreamResponse:
    """Look at every list of models now; what could not be seen says why."""
    command = RefreshModels(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "discussion", "refresh", command, CatalogsRefreshed))


async def list_providers(call: Call) -> web.StreamResponse:
    """Providers with their limits, closed gates, and what waits until when."""
    return plain(ProvidersAnswer([introduced(view) for view in await _views(call)]))


async def set_limits(call: Call) -> web.StreamResponse:
    """Change what a provider's accounts may use, from the next request on."""
    body = await call.body(LimitsBody)
    views = {view.name: view for view in await _views(call)}
    view = views.get(call.segments["provider"])
    if view is None:
        raise NotFound(
            "There is no provider of this name.",
            nearest=_near(call.segments["provider"], views),
            next_step="GET /api/v1/providers lists them.",
        )
    limits = body.over(view.declared, view.fallback)
    command = SetLimits(
        workspace=call.workspace,
        provider=view.name,
        limits=None if limits == view.fallback else limits,
        by=call.who.token,
    )
    changed = await ask(call.tools.bus, "discussion", "limits", command, ProviderView)
    return plain(introduced(changed))


async def _views(call: Call) -> list[ProviderView]:
    command = ListProviders(workspace=call.workspace)
    known, own = await asyncio.gather(
        ask(call.tools.bus, "discussion", "providers", command, ProviderList), _endpoints(call)
    )
    return known.items if own is None else with_endpoints(known.items, own)


def _near(name: str, views: Mapping[str, ProviderView]) -> list[str]:
    found = process.extract(name[:64], list(views), limit=3, score_cutoff=60)
    return [near for near, _, _ in found]


async def _endpoints(call: Call) -> list[EndpointView] | None:
    try:
        return (await endpoints.of_workspace(call, call.workspace)).items
    except (Refused, Unreachable, TimedOut):
        return None  # what discussion knows of them will do


def with_endpoints(
    known: Sequence[ProviderView], own: Sequence[EndpointView]
) -> list[ProviderView]:
    """As discussion sees them, but with the endpoints as they are this moment.

    Who has just added one wants to add its key next, before the fact has gone round.
    """
    there = {each.name for each in own}
    names = {view.name for view in known}
    return [
        *(view for view in known if view.custom is None or view.name in there),
        *(
            ProviderView(
                name=each.name,
                title=each.title or each.name,
                available=False,
                reason=f"No working key. Add one: parley keys add {each.name}"
                if each.needs_key
                else "It has not answered yet.",
                limits=each.limits,
                custom=msgspec.convert(each, CustomProvider, from_attributes=True),
            )
            for each in own
            if each.name not in names
        ),
    ]


def introduced(view: ProviderView, environ: Mapping[str, str] = os.environ) -> ProviderAnswer:
    """The provider as it stands, with what its row says of it."""
    row = row_of(view.custom) if view.custom is not None else PROVIDERS[view.name]
    return ProviderAnswer(
        **structs.asdict(view),
        needs_key=row.needs_key,
        regions=_regions(row, environ),
        docs=row.docs,
    )


def _regions(row: Provider, environ: Mapping[str, str]) -> list[RegionAnswer]:
    return [
        RegionAnswer(name=region.name, endpoint=environ.get(region.env, "") or region.base_url)
        for region in row.regions
    ]
