"""Models and providers over HTTP: what can be used now, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Mapping

from aiohttp import web
from msgspec import Struct, structs

from contracts.discussion import ListModels, ListProviders, ModelList, ProviderList, ProviderView
from contracts.endpoints import row_of
from contracts.providers import PROVIDERS, Provider
from services.edge.asks import ask
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


async def list_providers(call: Call) -> web.StreamResponse:
    """Providers with their limits, closed gates, and what waits until when."""
    command = ListProviders(workspace=call.workspace)
    known = await ask(call.tools.bus, "discussion", "providers", command, ProviderList)
    return plain(ProvidersAnswer([introduced(view) for view in known.items]))


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
