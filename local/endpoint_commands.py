"""`parley endpoints`: OpenAI-compatible endpoints of your own, beside the built-in providers."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from local.terminal import Url, show, with_api

app = typer.Typer(
    no_args_is_help=True, help="OpenAI-compatible endpoints beside the built-in providers."
)


EndpointName = Annotated[str, typer.Argument(help="Its name, e.g. acme: acme/<model> is a model.")]
Address = Annotated[str, typer.Argument(help="Its address, e.g. https://llm.example.com/v1.")]
Title = Annotated[str, typer.Option(help="What people read.")]
Dialect = Annotated[
    str, typer.Option(help="How it is spoken to: openai_chat unless you name another.")
]
NoKey = Annotated[bool, typer.Option("--no-key", help="It takes no key.")]
Limit = Annotated[
    list[str] | None,
    typer.Option("--limit", help="What your account allows, e.g. rpm=100; may be repeated."),
]
ReasoningField = Annotated[
    str, typer.Option(help="Where a model's thinking stands: reasoning_content or reasoning.")
]
TokenLimitField = Annotated[
    str, typer.Option(help="What bounds an answer: max_tokens or max_completion_tokens.")
]


@app.command("add")
def add_endpoint(
    name: EndpointName,
    base_url: Address,
    title: Title = "",
    dialect: Dialect = "",
    no_key: NoKey = False,
    limit: Limit = None,
    reasoning: ReasoningField = "",
    token_limit_field: TokenLimitField = "",
    url: Url = "",
) -> None:
    """Add an endpoint; it is a provider like any other from now on. Then add a key of it."""
    body = _endpoint(base_url, title, dialect, no_key, limit, reasoning, token_limit_field)
    wanted = {"name": name, **body}
    _tell_endpoint(with_api(url, lambda api: api.post("/api/v1/endpoints", wanted)))


@app.command("change")
def change_endpoint(
    name: EndpointName,
    base_url: Address,
    title: Title = "",
    dialect: Dialect = "",
    no_key: NoKey = False,
    limit: Limit = None,
    reasoning: ReasoningField = "",
    token_limit_field: TokenLimitField = "",
    url: Url = "",
) -> None:
    """Give an endpoint another address or other options: say all of them again.

    Its keys do not follow to another address: rotate them, or add others.
    """
    body = _endpoint(base_url, title, dialect, no_key, limit, reasoning, token_limit_field)
    _tell_endpoint(with_api(url, lambda api: api.put(_of_endpoint(name), body)))


@app.command("list")
def list_endpoints(url: Url = "") -> None:
    """The endpoints beside the built-in providers, and who says so: you here, or the operator."""
    _show_endpoints(with_api(url, lambda api: api.get("/api/v1/endpoints"))["items"])


@app.command("remove")
def remove_endpoint(name: EndpointName, url: Url = "") -> None:
    """Remove an endpoint: its keys are lent to nobody, and what waits for it is parked."""
    with_api(url, lambda api: api.delete(_of_endpoint(name)))


def _of_endpoint(name: str) -> str:
    return f"/api/v1/endpoints/{quote(name, safe='')}"


def _endpoint(
    base_url: str,
    title: str,
    dialect: str,
    no_key: bool,
    limit: list[str] | None,
    reasoning: str,
    token_limit_field: str,
) -> dict[str, Any]:
    told = {
        "base_url": base_url,
        "title": title,
        "dialect": dialect,
        "reasoning": reasoning,
        "token_limit_field": token_limit_field,
        "limits": _limits(limit or []),
    }
    return {name: value for name, value in told.items() if value} | (
        {"needs_key": False} if no_key else {}
    )


def _limits(told: list[str]) -> dict[str, Any]:
    """`rpm=100` as a limit; what is no number goes as it is, and the answer says so."""
    pairs = (part.partition("=") for one in told for part in one.split(",") if part.strip())
    return {
        name.strip(): int(value) if value.strip().isdecimal() else value for name, _, value in pairs
    }


def _tell_endpoint(endpoint: dict[str, Any]) -> None:
    _show_endpoints([endpoint])
    for name in ("reason", "next_step"):
        if endpoint.get(name):
            print(endpoint[name], file=sys.stderr)  # noqa: T201


def _show_endpoints(items: list[dict[str, Any]]) -> None:
    said = [{**each, "by": "operator" if each.get("configured") else "here"} for each in items]
    show(("name", "title", "base_url", "dialect", "by"), said)
