"""`make bench/storm`: thirty people ask, and the provider breaks for two minutes.

It refuses the key (one that had worked, then one that never has), then it is down, then it says
that the account asks too often. Parley, a naive client and the OpenAI SDK each meet that with a
provider of their own, whose log is the judge. All three at the same time, in real time: about a
quarter of an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bench.storm import clients, picture, weather
from bench.storm.clients import Contestant
from bench.storm.ledger import Run, requests, table
from bench.storm.parley import parley
from bench.storm.weather import FAULTS, Fault, Provider

QUESTIONS = 30
CALM = 10.0
"""Seconds before the fault."""
PATIENCE = 180.0
"""Seconds after the fault; who has no answer by then never gets one."""

DOCS = Path(__file__).parents[2] / "docs"

Enter = Callable[[str, float], AbstractAsyncContextManager[Contestant]]


async def main() -> None:
    """Play it, print the table, draw the picture."""
    told = arguments()
    names = told.only.split(",") if told.only else [fault.name for fault in FAULTS]
    faults = [fault for fault in FAULTS if fault.name in names]
    story = Story(told.seconds, told.speed)
    contestants: dict[str, Enter] = {"parley": parley, "naive": clients.naive, "sdk": clients.sdk}
    chosen = [contestants[name] for name in told.who.split(",")]
    async with asyncio.TaskGroup() as together:
        playing = [together.create_task(story.all_of(enter, faults)) for enter in chosen]
    runs = [run for task in playing for run in task.result()]
    runs.sort(key=lambda run: names.index(run.fault))
    if told.times:
        for run in runs:
            times = " ".join(f"{each.at:.1f}:{each.status}" for each in run.requests)
            print(f"{run.who}, {run.fault}: {times}")
    print(f"\n{table(runs)}\n")
    if told.draw:
        told.draw.write_text(picture.draw(runs, told.seconds))
        print(f"{told.draw}: requests a second over time")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench/storm", description=__doc__)
    seconds = float(os.environ.get("STORM_SECONDS", "120"))
    parser.add_argument("--seconds", type=float, default=seconds, help="that each fault lasts")
    parser.add_argument(
        "--speed",
        type=float,
        default=1,
        help="how much faster than life; the SDK's own waits stay as they are",
    )
    parser.add_argument("--only", help="faults, by their names, with commas", default="")
    parser.add_argument("--who", help="contestants, with commas", default="parley,naive,sdk")
    parser.add_argument("--times", action="store_true", help="print when each request came")
    parser.add_argument("--draw", type=Path, help="the picture", default=DOCS / "storm.svg")
    return parser.parse_args()


class Story:
    """What happens to each contestant."""

    def __init__(self, seconds: float, speed: float) -> None:
        self._seconds = seconds
        self._speed = speed

    async def all_of(self, enter: Enter, faults: list[Fault]) -> list[Run]:
        """Every fault, one after the other."""
        async with (
            weather.provider(self._speed) as provider,
            enter(provider.base_url, self._speed) as contestant,
        ):
            return [await self._one(contestant, provider, fault) for fault in faults]

    async def _one(self, contestant: Contestant, provider: Provider, fault: Fault) -> Run:
        await contestant.expect_trouble(new_key=fault.new_key)
        await provider.begins_anew()
        began = time.time()
        done: list[float] = []
        async with asking() as questions:
            await self._pass(CALM)
            await provider.breaks(fault)
            broke = time.time()
            for number in range(QUESTIONS):
                questions.append(
                    asyncio.create_task(_answered(contestant, f"{fault.name} {number}", done))
                )
            await self._pass(self._seconds)
            await provider.is_mended()
            mended = time.time()
            if fault.of_the_key:
                await contestant.replace_key()
            await asyncio.wait(questions, timeout=PATIENCE / self._speed)
            ended = time.time()
        log = requests(await provider.log())
        run = Run(
            who=contestant.name,
            fault=fault.name,
            broke=self._told(broke, began),
            mended=self._told(mended, began),
            ended=self._told(ended, began),
            asked=QUESTIONS,
            requests=[
                type(request)(self._told(request.at, began), request.chat, request.status)
                for request in log
            ],
            done=sorted(self._told(at, began) for at in done),
        )
        print(
            f"{run.who}, {run.fault}: {len(run.requests):,} requests, "
            f"{len(run.done)} of {run.asked} answered",
            flush=True,
        )
        return run

    def _told(self, at: float, began: float) -> float:
        return (at - began) * self._speed

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


@asynccontextmanager
async def asking() -> AsyncGenerator[list[asyncio.Task[None]]]:
    """Questions that are given up at the end."""
    questions: list[asyncio.Task[None]] = []
    try:
        yield questions
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)


async def _answered(contestant: Contestant, question: str, done: list[float]) -> None:
    try:
        await contestant.ask(question)
    except Exception as error:  # noqa: BLE001 - one question the less; the table shows it
        print(f"{contestant.name}: {error}", flush=True)
        return
    done.append(time.time())


if __name__ == "__main__":
    asyncio.run(main())
