"""Make roles, schemas, streams and consumers: `python -m deploy.wiring FOLDER`, and stay.

Told by its environment: PARLEY_DATABASE_URL (an administrator's) and PARLEY_NATS_URL. A stream in
memory goes with its broker, so what is missing is made again whenever the broker comes back. While
all is there, `/tmp/wired` says so, and the services may start.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from contracts.subjects import ADMIN
from deploy.credentials import passwords
from shared.connection import Connection
from shared.database import prepare
from shared.topology import ensure

# The broker's image has no shell to ask for its health; it is waited for here.
BROKER_WITHIN = timedelta(seconds=60)
WIRED = Path("/tmp/wired")  # noqa: S108 - the container's own


async def keep(folder: Path, database: str, broker: str) -> None:
    """`folder` is the administrator's, as deploy.credentials made it. Ends by SIGTERM only."""
    seed = folder / "nats.nk"
    came_back = asyncio.Event()
    WIRED.unlink(missing_ok=True)
    await prepare(database, passwords(folder))
    watch = Connection(ADMIN)
    watch.on_loss(lambda: WIRED.unlink(missing_ok=True))
    watch.on_reconnect(came_back.set)
    await watch.open(broker, seed, BROKER_WITHIN)
    while True:
        came_back.clear()
        await ensure(broker, seed, within=BROKER_WITHIN)
        WIRED.touch()
        print("roles, schemas, streams and consumers are there", flush=True)
        await came_back.wait()


async def main() -> None:
    """Until told to stop; an error ends it too, and it is started again."""
    kept = asyncio.ensure_future(
        keep(
            Path(sys.argv[1]),
            os.environ["PARLEY_DATABASE_URL"],
            os.environ["PARLEY_NATS_URL"],
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, kept.cancel)
    try:
        await kept
    except asyncio.CancelledError:
        print("leaving", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
