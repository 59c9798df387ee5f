"""A debate, a comparison or a consensus in the terminal, as it happens."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from contracts.modes import Mode
from local.api import Api
from local.telling import Watching
from local.viewing import in_words

_OTHERS = {Mode.DEBATE: "moderator", Mode.COMPARE: "judge", Mode.CONSENSUS: "chair"}
_USUAL = ("riley-engstrom", "morgan-castellano")


def wish(
    topic: str,
    mode: Mode,
    personas: tuple[str, ...],
    models: tuple[str, ...],
    *,
    rounds: int = 0,
    other: str = "",
    budget: str = "",
) -> dict[str, Any]:
    """As `POST /api/v1/discussions` takes it. Models are dealt out to the personas in turn."""
    body: dict[str, Any] = {"topic": topic, "mode": mode.value}
    if mode is Mode.COMPARE and not personas:
        body["models"] = list(models)
    else:
        who = personas or _USUAL
        body["participants"] = [
            {"persona": slug} | ({"model": models[at % len(models)]} if models else {})
            for at, slug in enumerate(who)
        ]
    told = {"rounds": rounds, "budget": budget}
    if options := {name: value for name, value in told.items() if value}:
        body["options"] = options
    if other:
        body[_OTHERS.get(mode, "moderator")] = {"persona": other}
    return body


async def deliberate(api: Api, body: dict[str, Any], console: Console) -> int:
    """Open it and watch until the end. The exit status is 0 once it has come to one: an outcome,
    whatever it is, or answers.
    """
    opened = await api.post("/api/v1/discussions", body)
    if words := in_words(opened.get("estimate")):
        console.print(escape(words), style="dim")
    return await watch(api, str(opened["id"]), console)


async def watch(api: Api, discussion: str, console: Console, *, known: int = 0) -> int:
    """To its end, or to where nothing goes on by itself; what happened up to the version `known` is
    not told again. The exit status.
    """
    watching = Watching()
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        async for sent in api.events(discussion):
            for told in watching.see(sent):
                if not sent.id or int(sent.id) > known:
                    live.console.print(told)
            live.update(watching.running())
            if watching.discussion.parked:
                break
    if watching.concluded or watching.discussion.state == "completed":
        return 0
    state = "parked" if watching.discussion.parked else watching.discussion.state
    print(f"The discussion {discussion} is {state}.", file=sys.stderr)  # noqa: T201
    return 1
