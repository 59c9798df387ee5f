"""The `parley` command.

Each command imports what it needs itself, so that none waits for the parts of another.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from contracts.modes import Mode
from contracts.providers import PROVIDERS
from local import discussion_commands, persona_commands, workflow_commands
from local.home import Home
from local.terminal import show as _show
from local.terminal import told as _told
from local.terminal import with_api as _with_api

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
keys = typer.Typer(no_args_is_help=True, help="The providers' keys in the vault.")
tokens = typer.Typer(no_args_is_help=True, help="Who may come in, and as what.")
endpoints = typer.Typer(
    no_args_is_help=True, help="OpenAI-compatible endpoints beside the built-in providers."
)
app.add_typer(discussion_commands.app, name="discussions")
app.add_typer(keys, name="keys")
providers = typer.Typer(
    invoke_without_command=True, help="What each provider may be asked, and what waits for it."
)
budgets = typer.Typer(
    invoke_without_command=True, help="What may be spent, and what is left of it."
)
app.add_typer(tokens, name="tokens")
app.add_typer(budgets, name="budgets")
app.add_typer(providers, name="providers")
app.add_typer(endpoints, name="endpoints")
app.add_typer(persona_commands.app, name="personas")
app.add_typer(workflow_commands.app, name="workflows")
vault = typer.Typer(no_args_is_help=True, help="Where the keys lie.")
app.add_typer(vault, name="vault")

KEYED = ", ".join(row.name for row in PROVIDERS.values() if row.needs_key)

Url = Annotated[
    str, typer.Option(envvar="PARLEY_URL", help="Where Parley is; found by itself if it is here.")
]
Topic = Annotated[str, typer.Argument(help="The question.")]
Personas = Annotated[
    list[str] | None,
    typer.Option("--persona", "-p", help="Who answers, e.g. riley-engstrom; may be repeated."),
]
KeyId = Annotated[str, typer.Argument(help="Its id, as `parley keys list` shows it.")]
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
    sys.exit(_with_api(url, lambda api: put(api, question, Console())))


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
    sys.exit(_with_api(url, lambda api: deliberate(api, body, Console())))


@app.command()
def demo(
    topic: Annotated[str, typer.Argument(help="Another question.")] = "",
    consensus: Annotated[
        bool, typer.Option("--consensus", help="Four come to a common answer, if they can.")
    ] = False,
) -> None:
    """One question, three personas, side by side; starts Parley for that long if need be."""
    from local.demo import demo as show

    sys.exit(_told(lambda: show(topic, os.environ, consensus=consensus)))


@app.command()
def doctor(url: Url = "") -> None:
    """Look at everything that Parley needs, and say what to do where something is amiss."""
    from local.doctor import doctor as look

    sys.exit(_told(lambda: look(Home.chosen(), url)))


@app.command()
def seed() -> None:
    """Put the built-in personas into a running Parley again."""
    from local.seeding import seed as put_back

    for name in _told(lambda: put_back(Home.chosen())):
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
        for line in told_of_lists(_with_api(url, lambda api: api.post("/api/v1/models/refresh"))):
            print(line, file=sys.stderr)  # noqa: T201
    items = _with_api(url, lambda api: api.get("/api/v1/models"))["items"]
    _show(*told_of_models(items, retired=retired))


@keys.command("add")
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
    _tell_key(_with_api(url, lambda api: api.post("/api/v1/keys", given)))


@keys.command("list")
def list_keys(url: Url = "") -> None:
    """The keys, as far as anybody may see them."""
    _show_keys(_with_api(url, lambda api: api.get("/api/v1/keys"))["items"])


@keys.command("verify")
def verify_key(key: KeyId, url: Url = "") -> None:
    """Ask the provider now whether the key works."""
    _tell_key(_with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/verify")))


@keys.command("rotate")
def rotate_key(key: KeyId, url: Url = "") -> None:
    """Give a key a new secret; it replaces the old one only if the provider takes it."""
    body = {"secret": _secret("New secret: ")}
    _tell_key(_with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/rotate", body)))


@keys.command("disable")
def disable_key(key: KeyId, url: Url = "") -> None:
    """Take a key out of use, until it is enabled again."""
    _tell_key(_with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/disable")), "disabled")


@keys.command("enable")
def enable_key(key: KeyId, url: Url = "") -> None:
    """Verify a key and take it into use again."""
    _tell_key(_with_api(url, lambda api: api.post(f"/api/v1/keys/{key}/enable")))


@keys.command("revoke")
def revoke_key(key: KeyId, url: Url = "") -> None:
    """Never use a key again: its secret is destroyed."""
    _tell_key(_with_api(url, lambda api: api.delete(f"/api/v1/keys/{key}")), "revoked")


@keys.command("prune")
def prune_keys(
    provider: Annotated[str, typer.Argument(help="Of this provider only.")] = "", url: Url = ""
) -> None:
    """Take the keys that were refused, replaced or revoked off the list; says which."""
    body = {"provider": provider} if provider else {}
    removed = _with_api(url, lambda api: api.post("/api/v1/keys/prune", body))["items"]
    if removed:
        _show_keys(removed)
    else:
        print("Every key is of use; nothing was removed.", file=sys.stderr)  # noqa: T201


def _secret(prompt: str) -> str:
    """From the terminal without being shown, or a line of a pipe."""
    from getpass import getpass

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
    _show(("id", "provider", "state", "since", "endpoint", "label", "reason", "next_step"), items)


@vault.command("rewrap")
def rewrap_vault(url: Url = "") -> None:
    """Change the key that encrypts all keys at rest (the KEK), while everything goes on."""
    told = _with_api(url, lambda api: api.post("/api/v1/vault/rewrap"))
    print(f"{told['detail']} Secrets wrapped anew: {told['rewrapped']}.")  # noqa: T201
    print(told["next_step"], file=sys.stderr)  # noqa: T201
    sys.exit(0 if told["finished"] else 1)


# --- Endpoints beside the built-in providers ------------------------------------------------

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


@endpoints.command("add")
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
    _tell_endpoint(_with_api(url, lambda api: api.post("/api/v1/endpoints", wanted)))


@endpoints.command("change")
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
    _tell_endpoint(_with_api(url, lambda api: api.put(_of_endpoint(name), body)))


@endpoints.command("list")
def list_endpoints(url: Url = "") -> None:
    """The endpoints beside the built-in providers, and who says so: you here, or the operator."""
    _show_endpoints(_with_api(url, lambda api: api.get("/api/v1/endpoints"))["items"])


@endpoints.command("remove")
def remove_endpoint(name: EndpointName, url: Url = "") -> None:
    """Remove an endpoint: its keys are lent to nobody, and what waits for it is parked."""
    _with_api(url, lambda api: api.delete(_of_endpoint(name)))


def _of_endpoint(name: str) -> str:
    from urllib.parse import quote

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
    _show(("name", "title", "base_url", "dialect", "by"), said)


# --- Providers ------------------------------------------------------------------------------


@providers.callback()
def list_providers(context: typer.Context, url: Url = "") -> None:
    """What each provider may be asked, what waits for it, and why."""
    from local.providers import COLUMNS, lines

    if context.invoked_subcommand is None:
        items = _with_api(url, lambda api: api.get("/api/v1/providers"))["items"]
        _show(COLUMNS, lines(items))


@providers.command("limits")
def set_limits(
    provider: Annotated[str, typer.Argument(help="Whose, e.g. kimi.")],
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens a minute.")] = None,
    tpd: Annotated[int | None, typer.Option(min=1, help="Tokens a day.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Answers at the same time.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Back to what is declared or assumed.")
    ] = False,
    url: Url = "",
) -> None:
    """Change what an account at the provider may use, at once; what is not named stays."""
    from local.providers import COLUMNS, KINDS, lines

    named = {"rpm": rpm, "tpm": tpm, "tpd": tpd, "concurrency": concurrency}
    body = {kind: value for kind, value in named.items() if value is not None}
    if reset:
        body = {kind: body.get(kind) for kind in KINDS}
    if not body:
        print("Name a limit, e.g. --rpm 3, or --reset.", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    path = f"/api/v1/providers/{provider}/limits"
    _show(COLUMNS, lines([_with_api(url, lambda api: api.put(path, body))]))


# --- Costs ----------------------------------------------------------------------------------


@app.command()
def usage(
    since: Annotated[str, typer.Option("--from", help="First day, in UTC: 2026-11-01.")] = "",
    until: Annotated[str, typer.Option("--to", help="Last day; today if left out.")] = "",
    by: Annotated[str, typer.Option(help="day, model, persona or token.")] = "day",
    url: Url = "",
) -> None:
    """What was used and what it cost; what was only estimated stands apart."""
    from urllib.parse import urlencode

    from local.costs import told_of_usage

    asked = {"from": since, "to": until, "by": by}
    query = urlencode({name: value for name, value in asked.items() if value})
    report = _with_api(url, lambda api: api.get(f"/api/v1/usage?{query}"))
    _show(*told_of_usage(report))
    print(f"From {report['from']} to {report['to']}, days in UTC.", file=sys.stderr)  # noqa: T201


BudgetId = Annotated[
    str, typer.Argument(help="workspace, token:<id>, discussion:<id> or run:<id>.")
]


@budgets.callback()
def list_budgets(context: typer.Context, url: Url = "") -> None:
    """What may be spent, what is spent of it, and what is held for running requests."""
    from local.costs import told_of_budgets

    if context.invoked_subcommand is None:
        _show(*told_of_budgets(_with_api(url, lambda api: api.get("/api/v1/budgets"))["items"]))


@budgets.command("set")
def set_budget(
    budget: BudgetId,
    amount: Annotated[str, typer.Argument(help="USD, e.g. 5 or 0.50.")],
    period: Annotated[str, typer.Option(help="day, month or total.")] = "month",
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse models without a known price, too.")
    ] = False,
    url: Url = "",
) -> None:
    """Say how much may be spent, from the next request on."""
    from local.costs import told_of_budgets

    body = {"amount": amount, "period": period, "strict": strict}
    _show(*told_of_budgets([_with_api(url, lambda api: api.put(_of_budget(budget), body))]))


@budgets.command("show")
def show_budget(budget: BudgetId, url: Url = "") -> None:
    """How one of them stands."""
    from local.costs import told_of_budgets

    _show(*told_of_budgets([_with_api(url, lambda api: api.get(_of_budget(budget)))]))


@budgets.command("remove")
def remove_budget(budget: BudgetId, url: Url = "") -> None:
    """Let it bound nothing any more."""
    _with_api(url, lambda api: api.delete(_of_budget(budget)))


def _of_budget(budget: str) -> str:
    from urllib.parse import quote

    return f"/api/v1/budgets/{quote(budget, safe=':')}"


# --- Access tokens --------------------------------------------------------------------------


@tokens.command("issue")
def issue_token(
    role: Annotated[str, typer.Argument(help="owner, admin, member, viewer or integration.")],
    label: Annotated[str, typer.Option(help="Whose it is.")] = "",
    days: Annotated[int, typer.Option(help="How long it is good; 0: for ever.", min=0)] = 0,
    url: Url = "",
) -> None:
    """Make a token and print it: nobody can show it again."""
    from datetime import UTC, datetime, timedelta

    body = {"role": role, "label": label}
    if days:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    issued = _with_api(url, lambda api: api.post("/api/v1/tokens", body))
    print(issued["token"])  # noqa: T201
    print(f"{issued['role']}, id {issued['id']}", file=sys.stderr)  # noqa: T201


@tokens.command("list")
def list_tokens(url: Url = "") -> None:
    """The tokens of the workspace, without the tokens."""
    items = _with_api(url, lambda api: api.get("/api/v1/tokens"))["items"]
    _show(("id", "role", "state", "label", "issued_at", "expires_at"), items)


@tokens.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="Its id, as `parley tokens list` shows it.")],
    url: Url = "",
) -> None:
    """Let nobody in with this token any more."""
    _with_api(url, lambda api: api.delete(f"/api/v1/tokens/{token}"))


def main() -> None:
    """Entry point of the command."""
    app(prog_name="parley")
