"""Make roles, schemas, streams and consumers, once: `python -m deploy.wiring FOLDER`.

Told by its environment: PARLEY_DATABASE_URL (an administrator's) and PARLEY_NATS_URL. The broker's
image has no shell to ask for its health, so this waits until it greets.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from deploy.credentials import passwords
from shared.database import prepare
from shared.topology import ensure

GREETS_WITHIN = timedelta(seconds=60)


async def wire(folder: Path, database: str, broker: str) -> None:
    """`folder` is the administrator's, as deploy.credentials made it."""
    await until_it_greets(broker)
    await prepare(database, passwords(folder))
    await ensure(broker, folder / "nats.nk")


async def until_it_greets(url: str) -> None:
    """Return once a NATS server says its first word at `url`."""
    address = urlsplit(url)
    async with asyncio.timeout(GREETS_WITHIN.total_seconds()):
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    address.hostname, address.port or 4222
                )
            except OSError:
                await asyncio.sleep(0.2)
                continue
            greeting = await reader.read(5)
            writer.close()
            if greeting == b"INFO ":
                return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(
        wire(
            Path(sys.argv[1]),
            os.environ["PARLEY_DATABASE_URL"],
            os.environ["PARLEY_NATS_URL"],
        )
    )
    print("roles, schemas, streams and consumers are there")
