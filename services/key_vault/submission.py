"""What a person pasted becomes a key: cleaned of what came along, or refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from contracts.failures import Invalid
from contracts.providers import PROVIDERS, Provider, Region

LONGEST = 512
"""Characters. A longer header would make every call with the key fail at some proxy."""

_CAME_ALONG = re.compile(r"(?:authorization\s*:\s*)?bearer(?:\s+|\Z)", re.IGNORECASE)
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
_QUOTES = "\"'`"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A key as it is sent to its provider, and what was taken off it."""

    secret: str = field(repr=False)
    note: str = ""


def cleaned(raw: bytes) -> Cleaned:
    """The key in what was pasted. Invalid says what is wrong, never what was pasted."""
    if len(raw) > LONGEST * 4:
        raise _refused(f"It is longer than {LONGEST} characters: no provider's key is.")
    try:
        pasted = raw.decode()
    except UnicodeDecodeError as error:
        raise _refused("It is not text.") from error
    secret = pasted.strip().strip(_INVISIBLE).strip()
    notes = ["Spaces around it were removed."] if secret != pasted else []
    if secret[:1] in _QUOTES and secret[:1] == secret[-1:] and len(secret) > 1:
        secret = secret[1:-1].strip()
        notes.append("The quotation marks around it were removed.")
    if match := _CAME_ALONG.match(secret):
        secret = secret[match.end() :]
        notes.append("“Bearer” before it was removed.")
    _check(secret)
    return Cleaned(secret, " ".join(notes))


def _check(secret: str) -> None:
    if not secret:
        raise _refused("It is empty.")
    if len(secret) > LONGEST:
        raise _refused(f"It is longer than {LONGEST} characters: no provider's key is.")
    for place, letter in enumerate(secret, start=1):
        if not letter.isascii():
            raise _refused(f"Character {place} is not ASCII; no key has such a character.")
        if letter.isspace():
            raise _refused(f"There is a space or line break in it, at character {place}.")
        if not letter.isprintable():
            raise _refused(f"There is a control character in it, at character {place}.")


def _refused(message: str) -> Invalid:
    return Invalid(
        f"This cannot be a key. {message}",
        next_step="Copy the key again from the provider's console, the key and nothing else.",
        slug="invalid-key",
        errors=[{"field": "secret", "message": message}],
    )


# --- Where it belongs -----------------------------------------------------------------------


def provider_named(name: str, rows: Mapping[str, Provider] = PROVIDERS) -> Provider:
    """The provider's row; Invalid names those there are."""
    row = rows.get(name)
    takes_keys = [row.name for row in rows.values() if row.needs_key]
    if row is None:
        raise Invalid(
            f"There is no provider {name[:40]!r}. There are: {', '.join(takes_keys)}.",
            slug="unknown-provider",
            next_step="Name one of these.",
            errors=[{"field": "provider", "message": "unknown"}],
            nearest=get_close_matches(name[:40].lower(), takes_keys, n=3),
        )
    if not row.needs_key:
        raise Invalid(
            f"{row.title} takes no key.",
            next_step="Nothing needs to be added: it can be used as it is.",
            errors=[{"field": "provider", "message": "takes no key"}],
        )
    return row


def region_named(row: Provider, name: str | None) -> Region:
    """The region of the provider, its default for None; Invalid names those there are."""
    try:
        return row.region(name)
    except KeyError as error:
        names = [region.name for region in row.regions]
        raise Invalid(
            f"{row.title} has no region {(name or '')[:40]!r}. It has: {', '.join(names)}.",
            slug="unknown-region",
            next_step="Name one of these, or none for the usual one.",
            errors=[{"field": "region", "message": "unknown"}],
            nearest=get_close_matches((name or "")[:40], names, n=3),
        ) from error


def endpoint_of(region: Region, environment: Mapping[str, str]) -> str:
    """The address of the region: the operator's if there is one, otherwise the vendor's own."""
    return (environment.get(region.env) or region.base_url).strip().rstrip("/")


def region_by_form(row: Provider, secret: str) -> str | None:
    """The region that the form of the key tells of, where it does."""
    prefixes = (prefix for prefix in row.key_prefixes if secret.startswith(prefix))
    longest = max(prefixes, key=len, default=None)
    return row.key_prefixes[longest] if longest is not None else None
