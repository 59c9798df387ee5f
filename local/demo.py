"""`make demo`: one question, three personas side by side in the terminal, on the local model.

`make demo/consensus`: four of them come to a common answer, or say truthfully that they did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from contextlib import AsyncExitStack

from rich.console import Console
from rich.markup import escape

from local.api import Api, Problem
from local.ask import Question, ask
from local.children import ChildDied
from local.deliberation import deliberate
from local.home import Home, HomeRefused
from local.logbook import Logbook
from local.model import MODEL_ID
from local.system import CannotStart
from local.up import running, stop_on_signals

QUESTION = "A small bakery has a new sourdough bread. How should it tell the neighbourhood?"
_FIRST = ("riley-engstrom", "morgan-castellano")
_COLUMNS = 3
_PANEL = 4


async def demo(
    topic: str, environment: MutableMapping[str, str], *, consensus: bool = False
) -> int:
    """Use the Parley that runs in the home, or start it quietly and stop it afterwards."""
    console = Console()
    home = Home.chosen()
    stop_on_signals()
    try:
        async with AsyncExitStack() as stack:
            home.prepare()
            facts = home.facts() if home.is_locked() else None
            if facts is None:
                console.print("Starting Parley for this demonstration …", style="dim")
                stack.enter_context(home.locked())
                environment.setdefault("PARLEY_PORT", "0")
                log = Logbook(home.logs, Console(quiet=True))
                facts = await stack.enter_async_context(running(home, environment, log))
            api = await stack.enter_async_context(Api.at(facts.url, home.token()))
            return await _show(api, topic or QUESTION, console, consensus=consensus)
    except asyncio.CancelledError:
        return 130
    except (HomeRefused, CannotStart, ChildDied) as error:
        raise Problem(str(error)) from error


async def _show(api: Api, topic: str, console: Console, *, consensus: bool) -> int:
    local = f"local/{MODEL_ID}"
    models = [str(model["id"]) for model in (await api.get("/api/v1/models"))["items"]]
    slugs = [str(item["slug"]) for item in (await api.get("/api/v1/personas"))["items"]]
    ordered = sorted(slugs, key=lambda slug: (slug not in _FIRST, slug))
    on = (local,) if local in models else ()
    console.print(f"\n[bold]{escape(topic)}[/]")
    if on:
        console.print("Answered by a tiny demonstration model on this machine.\n", style="dim")
    if consensus:
        panel = [{"persona": slug} | ({"model": local} if on else {}) for slug in ordered[:_PANEL]]
        body = {"topic": topic, "mode": "consensus", "participants": panel}
        return await deliberate(api, body, console)
    return await ask(api, Question(topic, tuple(ordered[:_COLUMNS]), on), console)
