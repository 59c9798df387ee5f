"""`parley workflows`: look at them, add one, run one, see how runs go, choose where one waits."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from local.api import Api, Problem
from local.logbook import harmless
from local.terminal import Url, show, text_of, with_api

app = typer.Typer(no_args_is_help=True, help="Named steps that go on by themselves.")

Slug = Annotated[str, typer.Argument(help="As `parley workflows list` shows it.")]
Run = Annotated[str, typer.Argument(help="Its id, as `parley workflows runs` shows it.")]
StepName = Annotated[str, typer.Argument(help="The step's name.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", help="name=value, or name=@file for what is long; may be repeated."
    ),
]
NoWatch = Annotated[bool, typer.Option("--no-watch", help="Start it and do not wait.")]

STATES = {"choosing": "a judge reads", "waiting": "waits for your choice", "pending": "to come"}


# --- Workflows --------------------------------------------------------------------------------


@app.command("list")
def list_them(url: Url = "") -> None:
    """The workflows there are, and what each asks for."""
    items = with_api(url, lambda api: api.get("/api/v1/workflows"))["items"]
    show(("slug", "title", "version", "inputs", "steps"), [_line(item) for item in items])


def _line(item: dict[str, Any]) -> dict[str, Any]:
    inputs = [
        each["name"] if each.get("required", True) else f"[{each['name']}]"
        for each in item.get("inputs", [])
    ]
    return item | {"inputs": ", ".join(inputs), "steps": " → ".join(item.get("steps", []))}


@app.command("show")
def show_one(slug: Slug, url: Url = "") -> None:
    """Its definition, as it was written: to be changed and added again."""
    print(with_api(url, lambda api: api.get(_of(slug)))["source"], end="")  # noqa: T201


@app.command("add")
def add(
    file: Annotated[str, typer.Argument(help="YAML or JSON; - for standard input.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Make a new version of the one of that slug.")
    ] = False,
    url: Url = "",
) -> None:
    """Add a workflow. Whatever is wrong with it is told with its line and column."""
    source = text_of(file)

    async def put(api: Api) -> dict[str, Any]:
        if not replace:
            return await api.post("/api/v1/workflows", {"source": source})
        return await api.put(_of(_slug_in(source)), {"source": source})

    made = with_api(url, put)
    print(f"{made['slug']}, version {made['version']}.")  # noqa: T201


def _slug_in(source: str) -> str:
    """The slug's own line, without reading the rest: the server does, and says what is wrong."""
    for line in source.splitlines():
        name, _, value = line.strip().strip('{,"').partition(":")
        if name.strip().strip('"') == "slug":
            return value.split(" #")[0].strip().strip("\"',")
    raise Problem("The file names no slug.", "", "Begin it with a line `slug: my-workflow`.")


@app.command("remove")
def remove(slug: Slug, url: Url = "") -> None:
    """Put a workflow away; its runs stay."""
    with_api(url, lambda api: api.delete(_of(slug)))


# --- Runs ---------------------------------------------------------------------------------------


@app.command("run")
def run(
    slug: Slug,
    given: Inputs = None,
    usd: Annotated[str, typer.Option(help="What it may cost at most, e.g. 0.50.")] = "",
    tokens: Annotated[int, typer.Option(help="Tokens it may use at most.", min=0)] = 0,
    no_watch: NoWatch = False,
    url: Url = "",
) -> None:
    """Start a workflow and watch its steps. It belongs to the server: Ctrl-C does not stop it."""
    budget = {name: value for name, value in (("usd", usd), ("tokens", tokens)) if value}
    body: dict[str, Any] = {"inputs": _inputs(given or [])}
    if budget:
        body["budget"] = budget

    async def begin(api: Api) -> int:
        started = await api.post(f"{_of(slug)}/runs", body)
        print(f"Run {started['id']}", file=sys.stderr)  # noqa: T201
        return 0 if no_watch else await _watch(api, str(started["id"]))

    sys.exit(with_api(url, begin))


@app.command("watch")
def watch(run: Run, url: Url = "") -> None:
    """Watch a run until it ends or waits for a choice."""
    sys.exit(with_api(url, lambda api: _watch(api, run)))


@app.command("runs")
def list_runs(
    slug: Annotated[str, typer.Argument(help="Of this workflow only.")] = "", url: Url = ""
) -> None:
    """The newest runs."""
    query = f"?workflow={quote(slug)}" if slug else ""
    items = with_api(url, lambda api: api.get(f"/api/v1/runs{query}"))["items"]
    show(("id", "slug", "state", "created_at", "title"), items)


@app.command("choose")
def choose(
    run: Run,
    step: StepName,
    choice: Annotated[str, typer.Argument(help="The candidate's number, or its model.")],
    no_watch: NoWatch = False,
    url: Url = "",
) -> None:
    """Choose where a run waits for a person, and watch it go on."""
    wanted = int(choice) if choice.isdecimal() else choice

    async def answer(api: Api) -> int:
        path = f"/api/v1/runs/{quote(run, safe='')}/gates/{quote(step, safe='')}"
        await api.post(path, {"choose": wanted})
        return 0 if no_watch else await _watch(api, run)

    sys.exit(with_api(url, answer))


@app.command("cancel")
def cancel(run: Run, url: Url = "") -> None:
    """Stop a run and what is being asked in it; what was answered stays."""
    with_api(url, lambda api: api.post(f"/api/v1/runs/{quote(run, safe='')}/cancel"))


@app.command("delete")
def delete(run: Run, url: Url = "") -> None:
    """Delete a run and what its discussions said, for good; what still runs is cancelled first."""
    with_api(url, lambda api: api.delete(f"/api/v1/runs/{quote(run, safe='')}"))


@app.command("fork")
def fork(run: Run, step: StepName, no_watch: NoWatch = False, url: Url = "") -> None:
    """Begin another run that does this step and what follows anew, and keeps the rest."""

    async def begin(api: Api) -> int:
        started = await api.post(f"/api/v1/runs/{quote(run, safe='')}/fork", {"step": step})
        print(f"Run {started['id']}", file=sys.stderr)  # noqa: T201
        return 0 if no_watch else await _watch(api, str(started["id"]))

    sys.exit(with_api(url, begin))


def _of(slug: str) -> str:
    return f"/api/v1/workflows/{quote(slug, safe='')}"


def _inputs(told: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in told:
        name, equals, value = one.partition("=")
        if not equals:
            print(f"{one!r} is not name=value.", file=sys.stderr)  # noqa: T201
            sys.exit(2)
        found[name.strip()] = text_of(value[1:]) if value.startswith("@") else value
    return found


# --- Watching -----------------------------------------------------------------------------------


async def _watch(api: Api, run: str) -> int:
    """Tell each step as it comes to its state; the last texts go to standard output."""
    told: dict[str, str] = {}
    view = await _tell(api, run, told)
    if view["state"] == "running":
        async for sent in api.events(run, "runs"):
            if sent.name in {"lost", "resync"}:
                continue
            view = await _tell(api, run, told)
            if view["state"] != "running":
                break
    return _conclude(view)


async def _tell(api: Api, run: str, told: dict[str, str]) -> dict[str, Any]:
    view = await api.get(f"/api/v1/runs/{quote(run, safe='')}")
    for step in view["steps"]:
        state = step["state"]
        if told.get(step["name"], "pending") != state:
            told[step["name"]] = state
            print(f"{step['name']}: {STATES.get(state, state)}", file=sys.stderr)  # noqa: T201
    return view


def _conclude(view: dict[str, Any]) -> int:
    steps: list[dict[str, Any]] = view["steps"]
    if view["state"] == "waiting":
        for step in steps:
            if step["state"] == "waiting":
                _offer(view["id"], step)
        return 0
    before = {name for step in steps for name in step["after"]}
    for step in steps:
        if step["state"] == "completed" and step["name"] not in before:
            print(harmless(step["text"]))  # noqa: T201
        if step["state"] == "failed":
            print(f"{step['name']}: {step.get('problem', '')}", file=sys.stderr)  # noqa: T201
            print(step.get("next_step", ""), file=sys.stderr)  # noqa: T201
    cost = view.get("cost")
    spent = f"{view['tokens']} tokens" + (f", {cost['amount']} {cost['currency']}" if cost else "")
    print(f"Run {view['id']}: {view['state']}; {spent}.", file=sys.stderr)  # noqa: T201
    return 0 if view["state"] == "completed" else 1


def _offer(run: str, step: dict[str, Any]) -> None:
    for candidate in step["candidates"]:
        if candidate["candidate"] in step["gate"]["candidates"]:
            print(f"\n[{candidate['candidate']}] {candidate['model']}\n")  # noqa: T201
            print(harmless(candidate["text"]))  # noqa: T201
    if reason := step["gate"].get("reason"):
        print(reason, file=sys.stderr)  # noqa: T201
    command = f"parley workflows choose {run} {step['name']} NUMBER"
    print(f"\n{step['name']} waits for your choice: {command}", file=sys.stderr)  # noqa: T201
