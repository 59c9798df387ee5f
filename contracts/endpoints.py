"""Endpoints beside the built-in providers: by the operator's configuration, or added by an admin.

Each is a small row in the form of the built-in ones, so whatever reads rows reads these too. The
operator's stand in the environment: PARLEY_ENDPOINTS="acme,lab" and, for each, ACME_BASE_URL and
what else is to be said of it. Those of an admin are facts of key_vault.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from contracts.providers import PROVIDERS, Dialect, Limits, Provider, Reasoning, Region

NAME = re.compile(r"[a-z][a-z0-9-]{1,30}\Z", re.ASCII)
NAMES = "a letter from a to z, then 1 to 30 letters from a to z, digits or dashes"

REGION = "own"
"""The one region that such an endpoint has."""

LIMITS = ("rpm", "tpm", "tpd", "concurrency")

_TOKEN_LIMITS = {
    # What those know that are compatible with OpenAI, unlike its newer name: DeepSeek, Mistral,
    # Together, OpenRouter, vLLM (their API references, as the built-in rows have it).
    Dialect.OPENAI_CHAT: "max_tokens",
    Dialect.ANTHROPIC_MESSAGES: "max_tokens",
    Dialect.GEMINI: "maxOutputTokens",
    Dialect.OLLAMA: "num_predict",
}


class CustomProvider(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes such an endpoint differ from the next; the fields mean what they do in a row."""

    name: str
    base_url: str
    """In its normal form, without a slash at the end."""
    title: str = ""
    dialect: Dialect = Dialect.OPENAI_CHAT
    needs_key: bool = True
    limits: dict[str, int] = {}
    """`rpm`, `tpm`, `tpd`, `concurrency`; what is left out is not limited here."""
    reasoning: Reasoning = Reasoning.NONE
    token_limit_field: Literal["", "max_tokens", "max_completion_tokens"] = ""
    """Empty: the dialect's usual one."""
    asks_for_usage: bool = True


class BadEndpoint(ValueError):
    """The name or the settings of an endpoint cannot be; says why."""


class NameTaken(BadEndpoint):
    """The name means something already."""


def row_of(custom: CustomProvider, env: str = "") -> Provider:
    """The endpoint as a row. `env`: the variable that its address comes from, if one does."""
    return Provider(
        name=custom.name,
        title=custom.title or custom.name,
        dialect=custom.dialect,
        regions=(Region(name=REGION, base_url=custom.base_url, env=env),),
        docs=custom.base_url,
        needs_key=custom.needs_key,
        reasoning=custom.reasoning,
        token_limit_field=custom.token_limit_field or _TOKEN_LIMITS[custom.dialect],
        asks_for_usage=custom.asks_for_usage,
        limits=Limits(**{name: custom.limits.get(name) for name in LIMITS}),
    )


def check_name(name: str) -> None:
    """BadEndpoint if nothing can be called so, NameTaken if something is."""
    if NAME.match(name) is None:
        raise BadEndpoint(f"A name is {NAMES}; {name[:32]!r} is not.")
    if name in PROVIDERS:
        raise NameTaken(f"{name} is {PROVIDERS[name].title}, which Parley speaks to already.")
    if name in _RESERVED or variable(name, "BASE_URL") in _VARIABLES:
        raise NameTaken(f"{name} means something else here already.")


_RESERVED = frozenset({"persona", "panel", "parley"})
"""What stands before the slash in the name of a model that is none, and our own variables."""

_VARIABLES = frozenset(region.env for row in PROVIDERS.values() for region in row.regions)


def variable(name: str, what: str) -> str:
    """The environment's variable for it: `my-lab`, `BASE_URL` → `MY_LAB_BASE_URL`.

    No name has an underscore, so no two names share a variable.
    """
    return f"{name.upper().replace('-', '_')}_{what}"


# --- By the operator ------------------------------------------------------------------------

SETTINGS = (
    "BASE_URL", "TITLE", "LIMITS", "DIALECT", "NEEDS_KEY", "REASONING", "TOKEN_LIMIT_FIELD",
    "ASKS_FOR_USAGE",
)  # fmt: skip
"""What the environment may say of an endpoint. LIMITS is read where the built-in ones' are."""


def names(environ: Mapping[str, str]) -> list[str]:
    """The endpoints that the operator names; BadEndpoint for an impossible name."""
    told = environ.get("PARLEY_ENDPOINTS", "").split(",")
    found = list(dict.fromkeys(name for part in told if (name := part.strip())))
    for name in found:
        try:
            check_name(name)
        except BadEndpoint as error:
            raise BadEndpoint(f"PARLEY_ENDPOINTS: {error}") from error
    return found


def configured(environ: Mapping[str, str] = os.environ) -> dict[str, CustomProvider]:
    """The operator's endpoints by name; BadEndpoint says which variable is wrong, and how."""
    return {name: _configured(name, environ) for name in names(environ)}


def _configured(name: str, environ: Mapping[str, str]) -> CustomProvider:
    def told(what: str) -> str:
        return environ.get(variable(name, what), "").strip()

    def one_of(what: str, known: Iterable[str], usual: str) -> str:
        value = told(what) or usual
        if value not in (values := list(known)):
            raise BadEndpoint(
                f"{variable(name, what)} must be one of {', '.join(filter(None, values))}, and is "
                f"{value[:40]!r}."
            )
        return value

    token_limit = one_of("TOKEN_LIMIT_FIELD", ("", "max_tokens", "max_completion_tokens"), "")
    return CustomProvider(
        name=name,
        base_url=_operators(variable(name, "BASE_URL"), told("BASE_URL")),
        title=told("TITLE"),
        dialect=Dialect(one_of("DIALECT", Dialect, Dialect.OPENAI_CHAT)),
        needs_key=one_of("NEEDS_KEY", _YES | _NO, "yes") in _YES,
        reasoning=Reasoning(one_of("REASONING", Reasoning, Reasoning.NONE)),
        token_limit_field=token_limit,  # pyright: ignore[reportArgumentType] - one of them
        asks_for_usage=one_of("ASKS_FOR_USAGE", _YES | _NO, "yes") in _YES,
    )


_YES = frozenset({"yes", "on", "true", "1"})
_NO = frozenset({"no", "off", "false", "0"})


def _operators(name: str, url: str) -> str:
    """An address of the operator's choosing: wherever it leads, but readable."""
    try:
        parts = urlsplit(url)
        sane = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sane = False
    if not sane or {"@", "?", "#", " "} & set(url):
        raise BadEndpoint(
            f"{name} must be an http(s) address, such as http://localhost:8000/v1, and is "
            + ("not set." if not url else "none.")
        )
    return url.rstrip("/")


def ports(environ: Mapping[str, str] = os.environ) -> frozenset[int]:
    """Ports that an admin's endpoint may have: 443, and those that the operator lists."""
    told = environ.get("PARLEY_ENDPOINT_PORTS", "").split(",")
    found = [part.strip() for part in told if part.strip()]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 65536 for part in found):
        raise BadEndpoint("PARLEY_ENDPOINT_PORTS must be port numbers, such as 8443,9443.")
    return frozenset({443, *map(int, found)})


# --- All together ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Directory:
    """Every provider that a workspace has, built in or not."""

    rows: Mapping[str, Provider]
    custom: Mapping[str, CustomProvider]
    """Those that are not built in, as they were told."""


def directory(
    added: Iterable[CustomProvider] = (), environ: Mapping[str, str] = os.environ
) -> Directory:
    """Built-in rows before the operator's, those before what was added under the same name."""
    operators = configured(environ)
    # A name may have been added before a version of Parley that has it built in.
    own = {each.name: each for each in added if each.name not in PROVIDERS}
    custom = {**own, **operators}
    rows = {
        name: row_of(each, variable(name, "BASE_URL") if name in operators else "")
        for name, each in custom.items()
    }
    return Directory({**PROVIDERS, **rows}, custom)
