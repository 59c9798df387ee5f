"""Somebody else was faster: what is wanted is decided anew, on what has become of things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from contracts.failures import Conflict
from shared.journal import WrongVersion

MOST = 8
"""Times that a decision is made, before whoever asked has to ask again."""

LOST = (WrongVersion, asyncpg.DeadlockDetectedError)

T = TypeVar("T")


async def settled(decide: Callable[[], Awaitable[T]], what: str = "discussion") -> T:
    """What `decide` comes to, which is one transaction; Conflict: it does not hold still."""
    for _ in range(MOST):
        try:
            return await decide()
        except LOST:
            continue
    raise Conflict(f"The {what} changed in that moment.", next_step="Try again.")
