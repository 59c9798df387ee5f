"""Writes `docs/providers.md` out of the rows: `make docs`, or `python -m docs.providers`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from contracts.providers import PROVIDERS, Limits, Provider

PAGE = Path(__file__).with_name("providers.md")

HEAD = """\
# Providers

Written by `make docs` out of [`contracts/providers.py`](../contracts/providers.py): whatever is
said here is a field of a row there. [How to add one](adding-a-provider.md).

Each is reached at the address below unless its variable names another one, which is also the only
way to a private or plain-http address. `<PROVIDER>_API_KEY` puts a key into the vault at the first
start; `<PROVIDER>_LIMITS="rpm=100,tpm=500000,concurrency=20"` says what your account allows.

| name | provider | dialect | address | variable |
| --- | --- | --- | --- | --- |
"""

MORE = """
What a model does not take is left out, and the turn says so; what is asked for in earnest and
cannot be had is refused before anything is sent. Fixed temperatures and efforts of single models
stand in the rows.

| name | key | assumed limits | model when nobody chose | families | left out | refused |
| --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    addresses = "".join(line for row in PROVIDERS.values() for line in _addresses(row))
    return HEAD + addresses + MORE + "".join(map(_manners, PROVIDERS.values()))


def _addresses(row: Provider) -> Iterator[str]:
    for number, region in enumerate(row.regions):
        first = number == 0
        yield _line(
            f"`{row.name}`" if first else "",
            f"[{row.title}]({row.docs})" if first else f"region `{region.name}`",
            f"`{row.dialect}`" if first else "",
            f"`{region.base_url}`" if region.base_url else "at home",
            f"`{region.env}`",
        )


def _manners(row: Provider) -> str:
    return _line(
        f"`{row.name}`",
        _key(row),
        _limits(row.limits),
        f"`{row.default_models[0]}`" if row.default_models else "the first of its list",
        _names(f"{row.name}/{family}" for family in sorted(row.families)),
        _names(sorted(row.leaves_out)),
        _names(name.replace(":", " ") for name in sorted(row.refuses)),
    )


def _key(row: Provider) -> str:
    if not row.needs_key:
        return "none"
    prefixes = _names(f"{prefix}…" for prefix in row.key_prefixes)
    return f"needed, {prefixes}" if prefixes else "needed"


def _limits(limits: Limits) -> str:
    told = (
        ("requests a minute", limits.rpm),
        ("tokens a minute", limits.tpm),
        ("tokens a day", limits.tpd),
        ("at a time", limits.concurrency),
    )
    return ", ".join(f"{value:,} {what}" for what, value in told if value is not None) or "learnt"


def _names(names: Iterator[str] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
