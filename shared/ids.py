"""A fresh id: the clock and the dice that `contracts.ids` does not have."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from contracts.ids import RANDOM_BYTES, uuid7


def fresh() -> str:
    """An id nobody has had before; later ones sort after earlier ones."""
    return uuid7(datetime.now(UTC), os.urandom(RANDOM_BYTES))
