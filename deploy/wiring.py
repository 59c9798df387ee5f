"""Make roles, schemas, streams and consumers, once: `python -m deploy.wiring FOLDER`.

Told by its environment: PARLEY_DATABASE_URL (an administrator's) and PARLEY_NATS_URL. A second
run changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from deploy.credentials import passwords
from shared.database import prepare
from shared.topology import ensure

# The broker's image has no shell to ask for its health; it is waited for here.
BROKER_WITHIN = timedelta(seconds=60)


async def wire(folder: Path, database: str, broker: str) -> None:
    """`folder` is the administrator's, as deploy.credentials made it."""
    await prepare(database, passwords(folder))
    await ensure(broker, folder / "nats.nk", within=BROKER_WITHIN)


if __name__ == "__main__":
    asyncio.run(
        wire(
            Path(sys.argv[1]),
            os.environ["PARLEY_DATABASE_URL"],
            os.environ["PARLEY_NATS_URL"],
        )
    )
    print("roles, schemas, streams and consumers are there")
