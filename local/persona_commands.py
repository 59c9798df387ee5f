"""`parley personas`: who can take part: look, make, change, put away, take elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import quote, urlencode

import typer

from local.api import Api
from local.terminal import Url, show, text_of, with_api

app = typer.Typer(no_args_is_help=True, help="Who can take part in a discussion.")

COLUMNS = ("slug", "name", "title", "version", "model", "note")

Slug = Annotated[str, typer.Argument(help="As `parley personas list` shows it.")]
Name = Annotated[str, typer.Option(help="As people read it.")]
Title = Annotated[str, typer.Option(help="What they do, in a few words.")]
Prompt = Annotated[
    str,
    typer.Option("--prompt-file", "-f", help="File with the instructions; - for standard input."),
]
Model = Annotated[str, typer.Option("--model", "-m", help="Default model, e.g. kimi/k2.")]
Color = Annotated[str, typer.Option(help="#rrggbb, to tell it from others.")]


@app.command("list")
def list_them(
    archived: Annotated[bool, typer.Option("--archived", help="Those put away, instead.")] = False,
    url: Url = "",
) -> None:
    """All personas, and whether the model that each prefers can still be had."""
    path = "/api/v1/personas" + ("?archived=true" if archived else "")
    show(COLUMNS, [line(item) for item in with_api(url, lambda api: api.get(path))["items"]])


@app.command("show")
def show_one(slug: Slug, url: Url = "") -> None:
    """One persona with its instructions, which go to standard output alone."""
    persona = with_api(url, lambda api: api.get(_path(slug)))
    told = line(persona)
    head = f"{told['name']}, {told['title']} (version {told['version']})"
    _remark(head, told["model"] and f"Default model: {told['model']}", told["note"])
    print(persona["prompt"])  # noqa: T201


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="As people read it, e.g. 'Ada Lovelace'.")],
    title: Annotated[str, typer.Option(help="What they do, in a few words.")],
    prompt_file: Prompt = "-",
    slug: Annotated[str, typer.Option(help="In addresses; made of the name if left out.")] = "",
    model: Model = "",
    color: Color = "",
    url: Url = "",
) -> None:
    """Create a persona; its instructions come from a file or a pipe."""
    told = {"name": name, "title": title, "slug": slug, "model": model, "color": color}
    body = {"prompt": text_of(prompt_file).strip()} | {
        key: value for key, value in told.items() if value
    }
    _tell(with_api(url, lambda api: api.post("/api/v1/personas", body)))


@app.command("revise")
def revise(
    slug: Slug,
    name: Name = "",
    title: Title = "",
    prompt_file: Prompt = "",
    model: Model = "",
    no_model: Annotated[
        bool, typer.Option("--no-model", help="No default model: the best available answers.")
    ] = False,
    color: Color = "",
    url: Url = "",
) -> None:
    """Make its next version; what is not named stays. Running discussions keep to theirs."""
    changes = {"name": name, "title": title, "model": model, "color": color}
    if prompt_file:
        changes["prompt"] = text_of(prompt_file).strip()
    wanted = {key: value for key, value in changes.items() if value}
    if not wanted and not no_model:
        _remark("Nothing to change: name at least one of the options; see --help.")
        sys.exit(2)
    _tell(with_api(url, lambda api: _revised(api, slug, wanted, no_model=no_model)))


@app.command("archive")
def archive(slug: Slug, url: Url = "") -> None:
    """Put a persona away; nobody can ask it until it is brought back."""
    with_api(url, lambda api: api.delete(_path(slug)))
    _remark(f"{slug} is archived. `parley personas restore {slug}` brings it back.")


@app.command("restore")
def restore(slug: Slug, url: Url = "") -> None:
    """Bring back a persona that was archived, as its next version."""
    _tell(with_api(url, lambda api: _restored(api, slug)))


@app.command("import")
def import_them(
    file: Annotated[str, typer.Argument(help="A document of the export; - for standard input.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the personas that are there as they are.")
    ] = False,
    url: Url = "",
) -> None:
    """Import personas, all or none; those that are there get their next version."""
    try:
        document = json.loads(text_of(file))
    except ValueError:
        _remark(f"{file} is no JSON: give a document as `parley personas export` writes it.")
        sys.exit(2)
    if not isinstance(document, dict):
        _remark(f"{file} is no document of personas: it has to be one JSON object.")
        sys.exit(2)
    wish = {"existing": "keep"} if keep else {}
    body = {**cast("dict[str, Any]", document), **wish}
    done = with_api(url, lambda api: api.post("/api/v1/personas/import", body))
    show(("slug", "version", "outcome"), done["items"])


@app.command("export")
def export(
    slug: Annotated[str, typer.Argument(help="One persona; left out: all of them.")] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", help="File; left out: standard output.")
    ] = "",
    url: Url = "",
) -> None:
    """Write personas as a document that `parley personas import` takes."""
    path = f"{_path(slug)}/export" if slug else "/api/v1/personas/export"
    document = with_api(url, lambda api: api.get(path))
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if not output:
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, "utf-8")
    except OSError as error:
        _remark(f"{output} cannot be written: {error.strerror}.")
        sys.exit(1)


def line(persona: dict[str, Any]) -> dict[str, Any]:
    """A line of the table."""
    stands: dict[str, Any] = persona.get("default_model_status") or {}
    return {**persona, "model": persona.get("model", ""), "note": note(stands)}


def note(stands: dict[str, Any]) -> str:
    """What is to be known of a default model that cannot be had."""
    instead = f" Until then: {stands['instead']}." if stands.get("instead") else ""
    match stands.get("state"):
        case "retired":
            return f"retired: revise it with --model {stands['successor']}.{instead}"
        case "unknown" | "unavailable":
            return f"{stands['detail']}{instead}"
        case _:
            return ""


async def _revised(
    api: Api, slug: str, wanted: dict[str, str], *, no_model: bool
) -> dict[str, Any]:
    body = {**_settings(await api.get(_path(slug))), **wanted}
    if no_model:
        body.pop("model", None)
    return await api.put(_path(slug), body)


async def _restored(api: Api, slug: str) -> dict[str, Any]:
    found = await api.get("/api/v1/personas?" + urlencode({"archived": "true"}))
    for persona in found["items"]:
        if persona["slug"] == slug:
            return await api.put(_path(slug), _settings(persona))
    return await api.get(_path(slug))  # it is there, or the answer says that it never was


def _settings(persona: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "title", "prompt", "model", "color", "version")
    return {name: persona[name] for name in names if persona.get(name)}


def _path(slug: str) -> str:
    return f"/api/v1/personas/{quote(slug, safe='')}"


def _tell(persona: dict[str, Any]) -> None:
    show(COLUMNS, [line(persona)])


def _remark(*parts: str) -> None:
    for part in parts:
        if part:
            print(part, file=sys.stderr)  # noqa: T201
