"""Models and providers over HTTP: what can be used now, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Mapping

from aiohttp import web
from msgspec import Struct, structs
from rapidfuzz import process

from contracts.discussion import (
    CatalogsRefreshed,
    ListModels,
    ListProviders,
    ModelList,
    ProviderList,
    ProviderView,
    RefreshModels,
    SetLimits,
)
from contracts.failures import NotFound
from contracts.providers import PROVIDERS, Provider
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
    return (await ask(call.tools.bus, "discussion", "providers", command, ProviderList)).items


def _near(name: str, views: Mapping[str, ProviderView]) -> list[str]:
    found = process.extract(name[:64], list(views), limit=3, score_cutoff=60)
    return [near for near, _, _ in found]


def introduced(view: ProviderView, environ: Mapping[str, str] = os.environ) -> ProviderAnswer:
    """The provider as it stands, with what its row says of it."""
    row = PROVIDERS[view.name]
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
