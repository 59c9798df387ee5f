"""Every address that the edge answers, in one table: method, path, who may, what goes in and out.

An address that is not here does not exist, and a line without roles is open on purpose: the tests
read this table, the description at /openapi.json is made of it, and the router knows nothing else.
"""

from __future__ import annotations

from services.edge.call import Route
from services.edge.routes import costs, discussions, house, keys, models, personas, workflows

ROUTES: tuple[Route, ...] = (
    *discussions.ROUTES,
    *workflows.ROUTES,
    *keys.ROUTES,
    *personas.ROUTES,
    *models.ROUTES,
    *costs.ROUTES,
    *house.ROUTES,
)
