"""The `parley` command.

Each command imports what it needs itself, so that none waits for the parts of another.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from contracts.modes import Mode
from local import (
    cost_commands,
    discussion_commands,
    endpoint_commands,
    key_commands,
    persona_commands,
    provider_commands,
    token_commands,
    workflow_commands,
)
from local.home import Home
from local.terminal import Url, show, told, with_api

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.add_typer(discussion_commands.app, name="discussions")
app.add_typer(persona_commands.app, name="personas")
app.add_typer(workflow_commands.app, name="workflows")
app.add_typer(key_commands.app, name="keys")
app.add_typer(key_commands.vault, name="vault")
app.add_typer(provider_commands.app, name="providers")
app.add_typer(endpoint_commands.app, name="endpoints")
app.command()(cost_commands.usage)
app.add_typer(cost_commands.app, name="budgets")
app.add_typer(token_commands.app, name="tokens")

Topic = Annotated[str, typer.Argument(help="The question.")]
Personas = Annotated[
    list[str] | None,
    typer.Option("--persona", "-p", help="Who answers, e.g. riley-engstrom; may be repeated."),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="On which model, e.g. kimi/kimi-k2.6; may be repeated."),
]

Money = Annotated[str, typer.Option(help="US dollars that it may cost at most, e.g. 0.50.")]


@app.callback()
def _parley() -> None:
    """Personas discuss, compare and agree, over your own language model keys."""


@app.command()
def up() -> None:
    """Run the whole system on this machine, until Ctrl-C."""
    from local.up import up as run

    sys.exit(run(os.environ))


@app.command()
def ask(
    topic: Topic,
    persona: Personas = None,
    model: Models = None,
    temperature: Annotated[
        float | None, typer.Option(help="From 0 to 2, where the model takes one.")
    ] = None,
    budget: Money = "",
    url: Url = "",
) -> None:
    """Ask a question and watch the answers being written."""
    from local.ask import Question
    from local.ask import ask as put

    question = Question(topic, tuple(persona or ()), tuple(model or ()), temperature, budget)
    sys.exit(with_api(url, lambda api: put(api, question, Console())))


@app.command()
def discuss(
    topic: Topic,
    mode: Annotated[
        Mode, typer.Option(help="How: in turn, side by side, or to a common answer.")
    ] = Mode.DEBATE,
    persona: Personas = None,
    model: Models = None,
    rounds: Annotated[int, typer.Option(help="Of a debate; 3 unless said otherwise.")] = 0,
    other: Annotated[
        str,
        typer.Option(
            "--with",
            help="The persona that moderates a debate, judges a comparison or chairs a consensus.",
        ),
    ] = "",
    budget: Money = "",
    url: Url = "",
) -> None:
    """Let personas debate, compare models, or let a panel agree, and watch it happen."""
    from local.deliberation import deliberate, wish

    body = wish(
        topic,
        mode,
        tuple(persona or ()),
        tuple(model or ()),
        rounds=rounds,
        other=other,
        budget=budget,
    )
    sys.exit(with_api(url, lambda api: deliberate(api, body, Console())))


@app.command()
def demo(
    topic: Annotated[str, typer.Argument(help="Another question.")] = "",
    consensus: Annotated[
        bool, typer.Option("--consensus", help="Four come to a common answer, if they can.")
    ] = False,
) -> None:
    """One question, three personas, side by side; starts Parley for that long if need be."""
    from local.demo import demo as play

    sys.exit(told(lambda: play(topic, os.environ, consensus=consensus)))


@app.command()
def doctor(url: Url = "") -> None:
    """Look at everything that Parley needs, and say what to do where something is amiss."""
    from local.doctor import doctor as look

    sys.exit(told(lambda: look(Home.chosen(), url)))


@app.command()
def seed() -> None:
    """Put the built-in personas into a running Parley again."""
    from local.seeding import seed as put_back

    for name in told(lambda: put_back(Home.chosen())):
        print(name)  # noqa: T201


@app.command()
def models(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Look at the providers' own lists first.")
    ] = False,
    retired: Annotated[bool, typer.Option("--retired", help="Those that are gone too.")] = False,
    url: Url = "",
) -> None:
    """The models that can be used now, what they hold, cost and can do."""
    from local.models import told_of_lists, told_of_models

    if refresh:
        for line in told_of_lists(with_api(url, lambda api: api.post("/api/v1/models/refresh"))):
            print(line, file=sys.stderr)  # noqa: T201
    items = with_api(url, lambda api: api.get("/api/v1/models"))["items"]
    show(*told_of_models(items, retired=retired))


def main() -> None:
    """Entry point of the command."""
    app(prog_name="parley")
