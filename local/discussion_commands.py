"""`parley discussions`: find them again, watch or replay one, and go on with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from local.api import Api, Problem
from local.logbook import harmless
from local.terminal import Url, show, with_api

app = typer.Typer(no_args_is_help=True, help="What was asked and said, and how to go on with it.")

Id = Annotated[str, typer.Argument(help="Its id, as `parley discussions list` shows it.")]
TurnName = Annotated[
    str, typer.Argument(help="A turn: its number, counted from 1, or its id, persona or model.")
]


# --- Finding and reading ------------------------------------------------------------------------


@app.command("list")
def list_them(
    words: Annotated[str, typer.Argument(help="Only where all of these words stand.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=200)] = 50,
    url: Url = "",
) -> None:
    """The newest discussions."""
    query = f"?limit={limit}" + (f"&q={quote(words)}" if words else "")
    items = with_api(url, lambda api: api.get(f"/api/v1/discussions{query}"))["items"]
    told = [item | {"title": harmless(item["title"])} for item in items]
    show(("id", "mode", "state", "created_at", "title"), told)


@app.command("show")
def show_one(
    discussion: Id,
    json: Annotated[bool, typer.Option("--json", help="For programs, with everything.")] = False,
    url: Url = "",
) -> None:
    """All of it as a document, Markdown unless told otherwise."""
    path = f"{_of(discussion)}/export?format={'json' if json else 'markdown'}"
    document = with_api(url, lambda api: api.text(path))
    print(document if json else harmless(document), end="")  # noqa: T201


@app.command("watch")
def watch(discussion: Id, url: Url = "") -> None:
    """Watch it from its beginning to its end, live."""
    from local.deliberation import watch as follow  # noqa: PLC0415

    sys.exit(with_api(url, lambda api: follow(api, discussion, Console())))


@app.command("replay")
def replay(
    discussion: Id,
    speed: Annotated[float, typer.Option(help="2 is twice as fast.", min=0.1, max=1000)] = 1.0,
    url: Url = "",
) -> None:
    """Play one that is over once more from the log. No provider is asked for anything."""
    from local.replaying import replay as play  # noqa: PLC0415

    async def play_it(api: Api) -> None:
        view = await api.get(_of(discussion))
        if view["state"] not in {"completed", "failed", "cancelled"}:
            raise Problem(
                "It is not over yet.", next_step=f"Watch it: parley discussions watch {discussion}"
            )
        await play(api.events(discussion), Console(), speed)

    with_api(url, play_it)


# --- Going on -----------------------------------------------------------------------------------


@app.command("say")
def say(
    discussion: Id,
    text: Annotated[str, typer.Argument(help="What everybody in it is to hear.")],
    no_watch: Annotated[bool, typer.Option("--no-watch", help="Say it and do not wait.")] = False,
    url: Url = "",
) -> None:
    """Say something into it; one that is over goes on."""
    from local.deliberation import watch as follow  # noqa: PLC0415

    async def post(api: Api) -> int:
        before = await api.get(_of(discussion))
        await api.post(f"{_of(discussion)}/messages", {"text": text})
        if no_watch:
            return 0
        return await follow(api, discussion, Console(), known=before["version"])

    sys.exit(with_api(url, post))


@app.command("fork")
def fork(
    discussion: Id,
    turn: TurnName,
    persona: Annotated[str, typer.Option("--persona", "-p", help="Another one.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="Another one.")] = "",
    text: Annotated[
        str, typer.Option(help="Go on from the answer with these words, instead.")
    ] = "",
    url: Url = "",
) -> None:
    """Ask a turn again, of another persona or model, in a discussion of its own."""
    from local.deliberation import watch as follow  # noqa: PLC0415

    async def begin(api: Api) -> int:
        told = {"turn": await _turn(api, discussion, turn), "text": text}
        body = told | {k: v for k, v in (("persona", persona), ("model", model)) if v}
        opened = await api.post(f"{_of(discussion)}/fork", body)
        print(f"Discussion {opened['id']}", file=sys.stderr)  # noqa: T201
        return await follow(api, str(opened["id"]), Console())

    sys.exit(with_api(url, begin))


@app.command("retry")
def retry(discussion: Id, turn: TurnName, url: Url = "") -> None:
    """Ask a turn that failed or waits for somebody once more, and watch."""
    from local.deliberation import watch as follow  # noqa: PLC0415

    async def again(api: Api) -> int:
        before = await api.get(_of(discussion))
        which = turn_of(before["turns"], turn)
        await api.post(f"{_of(discussion)}/turns/{which}/retry")
        return await follow(api, discussion, Console(), known=before["version"])

    sys.exit(with_api(url, again))


@app.command("pick")
def pick(discussion: Id, turn: TurnName, url: Url = "") -> None:
    """Pick the best answer of a comparison; a blind one tells the names then."""

    async def choose(api: Api) -> dict[str, Any]:
        which = await _turn(api, discussion, turn)
        return await api.post(f"{_of(discussion)}/pick", {"turn": which})

    told = with_api(url, choose)
    chosen = next(each for each in told["turns"] if each["id"] == told["picked"])
    print(f"Picked: {chosen.get('name') or chosen['model']} on {chosen['model']}.")  # noqa: T201


@app.command("conclude")
def conclude(discussion: Id, url: Url = "") -> None:
    """Let it end without further rounds."""
    with_api(url, lambda api: api.post(f"{_of(discussion)}/conclude"))


@app.command("cancel")
def cancel(discussion: Id, url: Url = "") -> None:
    """Stop it now; what was said stays."""
    with_api(url, lambda api: api.post(f"{_of(discussion)}/cancel"))


@app.command("rename")
def rename(discussion: Id, title: str, url: Url = "") -> None:
    """Give it another title."""
    with_api(url, lambda api: api.patch(_of(discussion), {"title": title}))


@app.command("delete")
def delete(discussion: Id, url: Url = "") -> None:
    """Delete what was said in it, for good; what runs is cancelled first."""
    with_api(url, lambda api: api.delete(_of(discussion)))


# --- Which --------------------------------------------------------------------------------------


def _of(discussion: str) -> str:
    return f"/api/v1/discussions/{quote(discussion, safe='')}"


async def _turn(api: Api, discussion: str, told: str) -> str:
    view = await api.get(_of(discussion))
    return turn_of(view["turns"], told)


def turn_of(turns: list[Mapping[str, Any]], told: str) -> str:
    """The id of the turn that is meant: by number, id, or the last of a persona or model."""
    if told.isdecimal() and 1 <= int(told) <= len(turns):
        return str(turns[int(told) - 1]["id"])
    for each in reversed(turns):
        if told in {each["id"], each.get("persona"), each.get("name"), each.get("model")}:
            return str(each["id"])
    known = ", ".join(
        f"{at} {each.get('name') or each['model']}" for at, each in enumerate(turns, 1)
    )
    raise Problem(f"It has no turn {told!r}.", next_step=f"Name one of these: {known or 'none'}.")
