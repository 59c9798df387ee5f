"""Whether a model that somebody once chose can still be had: `resolve`, asked of discussion."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ModelStanding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known now of a model that was named before; nothing is guessed."""

    wanted: str
    """`provider/model`, as it was named."""
    state: Literal["available", "retired", "unavailable", "unknown"]
    """`unavailable`: its provider has no working key, or does not run. `unknown`: the provider's
    own list does not have it."""
    model: str = ""
    """The one that answers now under this name; empty where none does."""
    successor: str = ""
    """What replaces it, where the provider has said so."""
    successor_available: bool = False
    instead: str = ""
    """What answers where nobody chooses, until this is mended; empty where nothing can."""
    detail: str = ""
    next_step: str = ""
    nearest: list[str] = []
    """Models that can be had and look like it."""
    reason: str = ""
    """The kind of the refusal that asking for it would bring, e.g. `retired-model`."""


class ResolveModels(Struct, frozen=True, kw_only=True):
    """`resolve`: how each of these stands."""

    workspace: str
    models: list[str]


class ModelStandings(Struct, frozen=True):
    items: list[ModelStanding]
