"""What the providers have for us just now, as their keeper sees it: models, gates, limits."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from contracts.endpoints import CustomProvider
from contracts.failures import Failure
from contracts.prices import Price


class ProbeKey(Struct, frozen=True, kw_only=True):
    """`probe` (key_vault): please look at this key; answers contracts.attempts.ProbeResult."""

    workspace: str
    provider: str
    endpoint: str
    key: str
    version: int
    balance: bool = False
    """Ask for the balance, too, where the provider tells it."""
    custom: CustomProvider | None = None
    """What is known of a provider that is not built in: this may come before the fact of it."""


class ListModels(Struct, frozen=True, kw_only=True):
    """`models`: what can be used now."""

    workspace: str


class ModelView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    """`provider/model`"""
    provider: str
    context_window: int | None = None
    price: Price | None = None
    thinks: bool = False
    sees: bool | None = None
    """Takes pictures; None: its list does not say."""
    calls_tools: bool | None = None
    default: bool = False
    """What is used when nobody chose."""
    retired: bool = False
    successor: str = ""
    note: str = ""


class ModelList(Struct, frozen=True):
    items: list[ModelView]


class RefreshModels(Struct, frozen=True, kw_only=True):
    """`refresh`: look at every list of models now; answers CatalogsRefreshed."""

    workspace: str


class CatalogRefreshed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one look at one list has brought."""

    provider: str
    endpoint: str
    key: str = ""
    """Its id; empty for a provider that takes none."""
    models: int | None = None
    """How many are on the list; None: it could not be seen."""
    reason: str = ""
    next_step: str = ""


class CatalogsRefreshed(Struct, frozen=True):
    items: list[CatalogRefreshed]


class ListProviders(Struct, frozen=True, kw_only=True):
    """`providers`: budgets, gates, what waits."""

    workspace: str


class GateView(Struct, frozen=True, kw_only=True):
    gate: str
    closed_at: datetime
    failure: Failure


class BreakerView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider that failed is left in peace until then; then one request goes to see."""

    state: Literal["open", "half-open"]
    until: datetime
    key: str = ""
    """`key:version`, empty for a provider without keys."""
    rests: int = 0
    """Times in a row that it was found to fail still, the first included."""


class AccountView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One account at a provider: what it may use, and what it uses."""

    endpoint: str
    account: str
    limits: dict[str, int] = {}
    """In force: as declared, lowered by what was learnt."""
    learnt: dict[str, int] = {}
    """What the provider has named in its refusals."""
    in_flight: int = 0
    in_line: int = 0
    """Turns that wait for this account in line."""
    requests_in_minute: int = 0
    """Made in the last minute; a look at the list of models is one too."""
    tokens_in_minute: int = 0
    """Reserved in the last minute."""
    tokens_in_day: int = 0
    retries_left: float | None = None
    """What is left of the purse that retries are paid from; None: it is full."""
    not_before: datetime | None = None
    """The provider asked for silence until then."""
    breakers: list[BreakerView] = []


class ProviderView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    title: str
    available: bool
    reason: str = ""
    endpoint: str = ""
    models: int = 0
    refreshed_at: datetime | None = None
    limits: dict[str, int] = {}
    in_flight: int = 0
    waiting: int = 0
    parked: int = 0
    not_before: datetime | None = None
    gates: list[GateView] = []
    custom: CustomProvider | None = None
    """The endpoint that it is, if it is not built in."""
    declared: dict[str, int] = {}
    """Limits as declared: set here, by the environment, or assumed."""
    fallback: dict[str, int] = {}
    """What would be declared if nothing had been set here."""
    set_here: bool = False
    """An administrator has set them, and they come before those of the environment."""
    accounts: list[AccountView] = []


class ProviderList(Struct, frozen=True):
    items: list[ProviderView]


class SetLimits(Struct, frozen=True, kw_only=True):
    """`limits`: what an account at this provider may use, from the next request on. What was learnt
    of these limits is forgotten. Answers ProviderView.
    """

    workspace: str
    provider: str
    limits: dict[str, int] | None
    """`rpm`, `tpm`, `tpd`, `concurrency`, each from 1 and each may be left out: no limit. None: as
    declared in the environment, or assumed."""
    by: str = ""
