"""`python -m local.scripted`: a provider on this machine that says what it is told to."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

from local.scripted import replies, script
from local.scripted.meter import Meter
from local.scripted.server import ScriptedProvider

RECORDINGS = Path(__file__).parents[2] / "tests" / "fixtures" / "providers"


def main() -> None:
    """Print the base URL and serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m local.scripted",
        description=__doc__,
        epilog=script.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--script", type=Path, help="a file of behaviours, see below")
    parser.add_argument("--rate", type=float, default=20, help="words a second; 0: no pause")
    parser.add_argument("--rpm", type=int, help="requests of any sliding minute that it takes")
    parser.add_argument("--concurrency", type=int, help="requests at the same time that it takes")
    parser.add_argument("--minute", type=float, default=60, help="seconds of a minute of --rpm")
    parser.add_argument("--model", action="append", help="one more on its list, see panel.py")
    parser.add_argument("--key", action="append", help="a key that is good; default: every one")
    parser.add_argument(
        "--fixtures", type=Path, default=RECORDINGS, help="recordings for `replay:`"
    )
    told = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(told))


async def _serve(told: argparse.Namespace) -> None:
    provider = ScriptedProvider(
        host=told.host,
        port=told.port,
        script=told.script.read_text() if told.script else "",
        rate=told.rate,
        keys=told.key,
        fixtures=told.fixtures,
        meter=Meter(rpm=told.rpm, concurrency=told.concurrency, minute=told.minute),
    )
    provider.models += [replies.model(name, thinks=False) for name in told.model or ()]
    async with provider:
        sys.stdout.write(f"{provider.base_url}\n")
        sys.stdout.flush()
        sys.stderr.write("Kimi's stand-in: set KIMI_BASE_URL to this address.\n")
        await provider.forever()


if __name__ == "__main__":
    main()
