"""`parley keys`: add, verify, rotate, put away; `parley vault`: where they lie."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import Annotated, Any, NoReturn

import typer

from contracts.providers import PROVIDERS
from local.terminal import Url, show, with_api

app = typer.Typer(no_args_is_help=True, help="The providers' keys in the vault.")
vault = typer.Typer(no_args_is_help=True, help="Where the keys lie.")

KEYED = ", ".join(row.name for row in PROVIDERS.values() if row.needs_key)
KeyId = Annotated[str, typer.Argument(help="Its id, as `parley keys list` shows it.")]


@app.command("add")
def add_key(
    provider: Annotated[str, typer.Argument(help=f"Whose key: {KEYED}.")],
    label: str = "",
    region: Annotated[
        str,
        typer.Option(
            help="Vendor's host: ai, cn, code; auto: the key may be shown to the vendor's other "
            "host once, if the first one refuses it."
        ),
    ] = "",
    keep_others: Annotated[
        bool, typer.Option("--keep-others", help="Keep the former key in use beside it.")
    ] = False,
    pool: Annotated[
        bool,
        typer.Option(
            "--pool", help="Share the work among this and the keys in use, which all stay."
        ),
    ] = False,
    url: Url = "",
) -> None:
    """Add a key. It is read from the terminal without being shown, or from a pipe."""
    secret = _secret(f"{provider} key: ")
    body = {"provider": provider, "secret": secret, "label": label, "region": region}
    wishes = {"keep_others": keep_others, "pool": pool}
    given: dict[str, Any] = {name: value for name, value in (body | wishes).items() if value}
    _tell_key(with_api(url, lambda api: api.post("/api/v1/keys", given)))


@app.command("list")
def list_keys(url: Url = "") -> None:
    """The keys, as far as anybody may see them."""
    _show_keys(with_api(url, lambda api: api.get("/api/v1/keys"))["items"])


@app.command("verify")
def verify_key(key: KeyId, url: Url = "") -> None:
    """Ask the provider now whether the key works."""
    _tell_key(with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/verify")))


@app.command("rotate")
def rotate_key(key: KeyId, url: Url = "") -> None:
    """Give a key a new secret; it replaces the old one only if the provider takes it."""
    body = {"secret": _secret("New secret: ")}
    _tell_key(with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/rotate", body)))


@app.command("disable")
def disable_key(key: KeyId, url: Url = "") -> None:
    """Take a key out of use, until it is enabled again."""
    _tell_key(with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/disable")), "disabled")


@app.command("enable")
def enable_key(key: KeyId, url: Url = "") -> None:
    """Verify a key and take it into use again."""
    _tell_key(with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/enable")))


@app.command("revoke")
def revoke_key(key: KeyId, url: Url = "") -> None:
    """Never use a key again: its secret is destroyed."""
    _tell_key(with_api(url, lambda api: api.delete(f"/api/v1/keys/{key}")), "revoked")


@app.command("prune")
def prune_keys(
    provider: Annotated[str, typer.Argument(help="Of this provider only.")] = "", url: Url = ""
) -> None:
    """Take the keys that were refused, replaced or revoked off the list; says which."""
    body = {"provider": provider} if provider else {}
    removed = with_api(url, lambda api: api.post("/api/v1/keys/prune", body))["items"]
    if removed:
        _show_keys(removed)
    else:
        print("Every key is of use; nothing was removed.", file=sys.stderr)  # noqa: T201


def _secret(prompt: str) -> str:
    """From the terminal without being shown, or a line of a pipe."""
    return (getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()).strip()


def _tell_key(key: dict[str, Any], wanted: str = "active") -> NoReturn:
    """Show the key, why it is as it is and what to do; succeed if it came into that state."""
    _show_keys([key])
    for name in ("reason", "next_step"):
        if key.get(name):
            print(key[name], file=sys.stderr)  # noqa: T201
    if others := key.get("shares_limits_with"):
        print(f"It shares the limits of the key {', '.join(others)}.", file=sys.stderr)  # noqa: T201
    sys.exit(0 if key.get("state") == wanted else 1)


def _show_keys(items: list[dict[str, Any]]) -> None:
    for item in items:
        if others := item.get("shares_limits_with"):
            shares = f"Shares the limits of the key {', '.join(others)}."
            item["reason"] = f"{item.get('reason', '')} {shares}".strip()
    show(("id", "provider", "state", "since", "endpoint", "label", "reason", "next_step"), items)


@vault.command("rewrap")
def rewrap_vault(url: Url = "") -> None:
    """Change the key that encrypts all keys at rest (the KEK), while everything goes on."""
    told = with_api(url, lambda api: api.post("/api/v1/vault/rewrap"))
    print(f"{told['detail']} Secrets wrapped anew: {told['rewrapped']}.")  # noqa: T201
    print(told["next_step"], file=sys.stderr)  # noqa: T201
    sys.exit(0 if told["finished"] else 1)
