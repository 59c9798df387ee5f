"""A house whose models are scripted members of panels: see local/scripted/panel.py."""

from __future__ import annotations

from typing import Any

from contracts.attempts import LiveModel, ProbeResult, RunAttempt
from contracts.discussion import OpenDiscussion, Opened, WantedParticipant
from contracts.modes import Mode, Options, Role
from local.scripted.panel import Member
from tests.house import House
from tests.neighbours import Adapter, completed, error

ANSWERS = ("kimi-k2.6", "kimi-k3")


def member(adapter: Adapter, command: RunAttempt) -> str:
    """What the member says that the model's name describes."""
    del adapter
    if not command.model.startswith("panel-"):
        return f"{command.model} says hello."
    said = [(each.role, str(each.content)) for each in command.messages]
    return Member.named(command.model).says(said)


async def speak(adapter: Adapter, command: RunAttempt) -> None:
    """Answers at once; who is dead refuses, who is slow says nothing."""
    match Member.named(command.model).kind if command.model.startswith("panel-") else "":
        case "dead":
            await adapter.end(error(command, "request", evidence={"status": 400}))
        case "slow":
            pass
        case _:
            await adapter.end(completed(command, member(adapter, command)))


def seat(adapter: Adapter, *members: str) -> None:
    """From now on the provider has these models, too."""
    models = [*ANSWERS, *(f"panel-{name}" for name in members)]
    adapter.probe = ProbeResult(models=[LiveModel(id=model) for model in dict.fromkeys(models)])
    adapter.script = speak


async def convene(
    house: House, *members: str, chair: str = "", options: Options | None = None, **more: Any
) -> str:
    """A consensus of them: the discussion's id."""
    wanted = [WantedParticipant(model=f"kimi/panel-{name}") for name in members]
    if chair:
        wanted.append(WantedParticipant(model=f"kimi/panel-{chair}", role=Role.CHAIR))
    command = OpenDiscussion(
        workspace="default",
        mode=Mode.CONSENSUS,
        participants=wanted,
        topic="Which idea?",
        options=options or Options(),
        **more,
    )
    opened: Opened = await house.ask("open", command, Opened)
    return opened.discussion
