"""`make bench`: CPU per streamed delta, all processes counted, and how long a delta travels.

Starts a system of its own (no model, a provider that streams at a steady pace), lets discussions
run with a viewer each, and reads the kernel's accounts before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import meter
from bench.running import System, system
from bench.viewers import Viewer, post

LIMITS = "rpm=100000,concurrency=1000"
"""None that would be felt."""


@dataclass(frozen=True)
class Load:
    name: str
    streams: int
    rate: int
    """Deltas a second of each stream; 0 for as fast as it goes."""
    deltas: int


LOADS = (
    Load("20 streams x 50/s", 20, 50, 500),
    Load("100 streams x 50/s", 100, 50, 300),
    Load("flood, 20 streams", 20, 0, 10_000),
)


async def main() -> None:
    """Print one table for each load."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first load only")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        async with upstream() as base_url, system(Path(folder), base_url, LIMITS) as running:
            await measure(running, Load("warm-up", 2, 0, 50), shown=False)
            for load in LOADS[:1] if told.quick else LOADS:
                await measure(running, load)


async def measure(running: System, load: Load, *, shown: bool = True) -> None:
    """Run one load and print what it cost."""
    before = meter.cpu(running.pid)
    clock = asyncio.get_running_loop().time
    began = clock()
    viewers = [Viewer(running.url, running.token) for _ in range(load.streams)]
    await asyncio.gather(*(follow(running, viewer, load) for viewer in viewers))
    wall = clock() - began
    after = meter.cpu(running.pid)
    if not shown:
        return
    deltas = load.streams * load.deltas
    ages = sorted(age for viewer in viewers for age in viewer.ages)
    used = {part: after[part] - before.get(part, 0.0) for part in after}
    print(f"\n{load.name}: {deltas:,} deltas in {wall:.1f} s ({deltas / wall:,.0f} a second)")
    for part, seconds in sorted(used.items(), key=lambda item: -item[1]):
        print(f"  {part:18} {seconds / deltas * 1e6:8.1f} µs of CPU a delta")
    print(f"  {'all':18} {sum(used.values()) / deltas * 1e6:8.1f} µs of CPU a delta")
    seen = len(ages) / deltas
    print(
        f"  provider's write to viewer's read: p50 {percentile(ages, 50):.1f} ms, "
        f"p99 {percentile(ages, 99):.1f} ms ({seen:.0%} seen live)"
    )


def percentile(ages: list[float], rank: int) -> float:
    """Milliseconds."""
    return ages[min(len(ages) - 1, len(ages) * rank // 100)] * 1000 if ages else 0.0


async def follow(running: System, viewer: Viewer, load: Load) -> None:
    """Open a discussion and watch it to its end."""
    opened = await post(
        running.url,
        "/api/v1/discussions",
        running.token,
        {
            "topic": f"rate={load.rate} deltas={load.deltas}",
            "mode": "single",
            "participants": [{"persona": "riley-engstrom", "model": "kimi/kimi-k2.6"}],
            "options": {"max_completion_tokens": load.deltas},
        },
    )
    await viewer.watch(str(opened["id"]))
    if not viewer.ended:
        raise RuntimeError(f"the stream of {opened['id']} broke off")


@asynccontextmanager
async def upstream() -> AsyncGenerator[str]:
    """The provider; its base URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.upstream", stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main())
