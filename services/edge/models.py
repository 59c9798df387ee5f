"""Models and providers over HTTP: what can be used now, and what stands in the way."""

from __future__ import annotations

from aiohttp import web

from contracts.discussion import ListModels, ListProviders, ModelList, ProviderList
from services.edge.asks import ask
from services.edge.call import Call, plain


async def list_models(call: Call) -> web.StreamResponse:
    """Models by `provider/model`, as the providers' own lists have them."""
    command = ListModels(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "discussion", "models", command, ModelList))


async def list_providers(call: Call) -> web.StreamResponse:
    """Providers with their limits, closed gates, and what waits until when."""
    command = ListProviders(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "discussion", "providers", command, ProviderList))
