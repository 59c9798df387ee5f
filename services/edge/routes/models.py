"""Addresses of models and of the providers they are asked of."""

from __future__ import annotations

from contracts.supply import CatalogsRefreshed, ModelList
from services.edge import models
from services.edge.bodies import LimitsBody
from services.edge.call import Route
from services.edge.routes.who import API, MANAGERS, READERS

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{API}/models",
        answer=models.list_models,
        roles=READERS,
        summary="List models that can be used now",
        tag="models",
        gives=ModelList,
    ),
    Route(
        method="POST",
        path=f"{API}/models/refresh",
        answer=models.refresh_models,
        roles=MANAGERS,
        summary="Look at the providers' lists of models now",
        tag="models",
        gives=CatalogsRefreshed,
    ),
    Route(
        method="GET",
        path=f"{API}/providers",
        answer=models.list_providers,
        roles=READERS,
        summary="List providers, their limits and what waits",
        tag="models",
        gives=models.ProvidersAnswer,
    ),
    Route(
        method="PUT",
        path=f"{API}/providers/{{provider}}/limits",
        answer=models.set_limits,
        roles=MANAGERS,
        summary="Change what a provider's accounts may use, at once",
        tag="models",
        body=LimitsBody,
        gives=models.ProviderAnswer,
    ),
)
