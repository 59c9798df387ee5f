"""What must never be read in a log, an error or a provider's message, and its removal.

Keys are known by their form; those without a form (Mistral's, Together's) only by their value,
which whoever holds one tells the `Redactor` for as long as it holds it. Some vendors also put the
ids of an account into their error messages: those go too.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote

from contracts.providers import PROVIDERS

REDACTED = "[redacted]"

_SHORTEST = 6
"""A shorter value is no secret, and removing it everywhere would eat words."""

# A key may follow a letter only in an escape: `\nsk-…` in a repr, `%20sk-…` in a URL.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"

# Forms of keys, from detect-secrets, gitleaks, vendors' own redactors and their issue trackers.
_KEYS = (
    # OpenAI, Anthropic, OpenRouter, Moonshot, Kimi Code, DeepSeek, and whoever copies them. With
    # the stars in it when the vendor has masked its middle but shows the end.
    r"sk-[A-Za-z0-9_-]{8,}(?:\*{2,}[A-Za-z0-9_-]*)?",
    r"sk-[A-Za-z0-9_-]*\*{2,}[A-Za-z0-9_-]*",
    r"AIza[A-Za-z0-9_-]{20,}",  # Google
    r"AQ\.[A-Za-z0-9_-]{20,}",  # Google's newer form
    r"gsk_[A-Za-z0-9]{16,}",  # Groq
    r"xai-[A-Za-z0-9]{16,}",  # xAI
    r"tgp_v1_[A-Za-z0-9_-]{16,}",  # Together
    r"(?:hf_|pplx-)[A-Za-z0-9]{16,}",  # Hugging Face, Perplexity
    r"parley_[A-Za-z0-9_-]{32,}",  # our own access tokens; longer than any name that starts so
    r"S[AUONCX][A-Z2-7]{56}",  # seed of an NKEY
    # Ids of accounts: Moonshot's organisation, key and project; OpenAI's; OpenRouter's user.
    r"(?:org|ak|proj)[-_][A-Za-z0-9]{16,}",
    r"user_[A-Za-z0-9]{20,}",
    # What the rows know of the forms of keys.
    *(
        rf"{re.escape(prefix)}[A-Za-z0-9_-]{{12,}}"
        for row in PROVIDERS.values()
        for prefix in row.key_prefixes
    ),
)
# What is left of a masked key: xAI writes `xa***89`, DeepSeek `****1234`.
_MASKED = r"[A-Za-z0-9-]{0,8}\*{3,}[A-Za-z0-9-]{1,8}"

# After these names stands a secret or the id of an account, whatever its form.
_NAMES = (
    r"authorization|api[-_ ]?key|access[-_]token|client[-_]secret|password|passwd|set-cookie|cookie"
    r"|openai-organization|anthropic-organization-id|msh-(?:org-id|uid|project-id|gid)|signin_url"
)
_NAMED = (
    rf"(?P<name>(?:{_NAMES})[\"']?\s{{0,4}}[:=]\s{{0,4}}b?[\"']?)"
    rf"(?:(?:bearer|basic)\s{{1,4}})?[^\s\"'\\,;&<>\[\]{{}}()]{{{_SHORTEST},}}"
)
# A word after "Bearer" is a token if it is long or holds a digit: prose has neither.
_BEARER = (
    r"(?P<scheme>\bbearer(?:\s{1,4}|%20))"
    r"(?:[A-Za-z._~+/=-]{0,20}[0-9][A-Za-z0-9._~+/=-]*|[A-Za-z._~+/=-]{24,})"
)
_IN_URL = r"(?P<url>://[^\s:/@]{0,100}:)[^\s@/]{1,200}(?=@)"
_TEAM = r"(?P<team>\bx\.ai/team/)[A-Za-z0-9-]{8,}"

_BY_FORM = re.compile(rf"{_IN_URL}|(?=[sAgxthpSoau]){_START}(?:{'|'.join(_KEYS)})")
_BY_NAME = re.compile(rf"{_NAMED}|{_BEARER}|{_TEAM}", re.IGNORECASE)
_BY_MASK = re.compile(rf"{_START}{_MASKED}")

_HINTS = ("auth", "key", "token", "secret", "pass", "cookie", "organi", "msh-", "signin", "x.ai")
"""One of these is in every text that the second, slower expression could match."""


def _replacement(match: re.Match[str]) -> str:
    """What stood before the secret stays, so that the line still tells its story."""
    return (match[match.lastgroup] if match.lastgroup else "") + REDACTED


def _without_forms(text: str) -> str:
    lowered = text.lower()
    if "bearer" in lowered or any(hint in lowered for hint in _HINTS):
        text = _BY_NAME.sub(_replacement, text)
    text = _BY_FORM.sub(_replacement, text)
    return _BY_MASK.sub(REDACTED, text) if "***" in text else text


class Redactor:
    """Removes what looks like a key, and the values it was told of."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._holders: Counter[str] = Counter()

    def __call__(self, text: str) -> str:
        """`text` without secrets. Doing it twice changes nothing more."""
        for forms in tuple(self._known.values()):
            for form in forms:
                if form in text:
                    text = text.replace(form, REDACTED)
        return _without_forms(text)

    def learn(self, secret: str) -> None:
        """Remove this value too, also encoded, until it was forgotten as often as it was learnt."""
        if len(secret) >= _SHORTEST:
            self._holders[secret] += 1
            if secret not in self._known:
                self._known[secret] = _forms_of(secret)

    def forget(self, secret: str) -> None:
        """One holder less; with the last one the value is dropped from memory."""
        self._holders[secret] -= 1
        if self._holders[secret] <= 0:
            del self._holders[secret]
            self._known.pop(secret, None)

    @contextmanager
    def knowing(self, secret: str) -> Generator[None]:
        """Know the value for the length of a block."""
        self.learn(secret)
        try:
            yield
        finally:
            self.forget(secret)

    def value(self, value: Any) -> Any:
        """The same for anything that may stand in a log record or a JSON document."""
        match value:
            case str():
                return self(value)
            case bytes() | bytearray():
                return self(value.decode("utf-8", "backslashreplace"))
            case None | bool() | int() | float():
                return value
            case Mapping():
                mapping = cast(Mapping[Any, Any], value)
                return {self.value(name): self.value(item) for name, item in mapping.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in cast(list[Any], value)]
            case _:
                text = repr(value)
                clean = self(text)
                return value if clean == text else clean

    def processor(
        self, _logger: Any, _method: str, record: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """For structlog, after exceptions have become text and before the record is rendered."""
        return {
            name: REDACTED if _is_secret_name(name) else self.value(item)
            for name, item in record.items()
            if name not in _STRUCTLOGS_OWN
        } | {name: record[name] for name in _STRUCTLOGS_OWN if name in record}


_STRUCTLOGS_OWN = ("_record", "_from_structlog")
"""Its notes to itself, removed before anything is rendered."""

_SECRET_NAME = re.compile(rf"(?i:\A(?:x-)?(?:{_NAMES}|secret|plaintext)\Z)")


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.match(name) is not None


def _forms_of(secret: str) -> tuple[str, ...]:
    """As it is, percent-encoded, in hex, and in base64 wherever in a longer text it stood."""
    raw = secret.encode()
    quoted = quote(secret, safe="")
    forms = {secret, quoted, _ESCAPE.sub(lambda escape: escape[0].lower(), quoted)}
    forms |= {raw.hex(), raw.hex().upper()}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode()
        # The letters that hold nothing of what stands before or after it.
        own = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        forms |= {own, own.translate(_URLSAFE)}
    # The longest first: one form may be the beginning of another.
    return tuple(sorted(forms, key=len, reverse=True))


_ESCAPE = re.compile("%..")
_URLSAFE = str.maketrans("+/", "-_")


REDACTOR = Redactor()
"""The process's own: its logs, errors and messages pass here."""

redact = REDACTOR.__call__
redact_log = REDACTOR.processor
