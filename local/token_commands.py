"""`parley tokens`: who may come in, and as what."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from local.terminal import Url, show, with_api

app = typer.Typer(no_args_is_help=True, help="Who may come in, and as what.")


@app.command("issue")
def issue_token(
    role: Annotated[str, typer.Argument(help="owner, admin, member, viewer or integration.")],
    label: Annotated[str, typer.Option(help="Whose it is.")] = "",
    days: Annotated[int, typer.Option(help="How long it is good; 0: for ever.", min=0)] = 0,
    url: Url = "",
) -> None:
    """Make a token and print it: nobody can show it again."""
    body = {"role": role, "label": label}
    if days:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    issued = with_api(url, lambda api: api.post("/api/v1/tokens", body))
    print(issued["token"])  # noqa: T201
    print(f"{issued['role']}, id {issued['id']}", file=sys.stderr)  # noqa: T201


@app.command("list")
def list_tokens(url: Url = "") -> None:
    """The tokens of the workspace, without the tokens."""
    items = with_api(url, lambda api: api.get("/api/v1/tokens"))["items"]
    show(("id", "role", "state", "label", "issued_at", "expires_at"), items)


@app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="Its id, as `parley tokens list` shows it.")],
    url: Url = "",
) -> None:
    """Let nobody in with this token any more."""
    with_api(url, lambda api: api.delete(f"/api/v1/tokens/{token}"))
