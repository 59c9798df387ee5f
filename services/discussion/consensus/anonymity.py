"""A draft says nothing of who wrote it: signatures and names are taken out before anybody reads it.

Models favour their own answers where they recognise them. Withheld are the names of those who take
part, and of makers of models where somebody introduces itself by them. A name that the question
itself uses stays, and so does one that is only spoken of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

WITHHELD = "[name withheld]"

_MAKERS = (
    "ChatGPT", "GPT", "OpenAI", "Claude", "Anthropic", "Gemini", "Google", "Kimi", "Moonshot AI",
    "Moonshot", "DeepSeek", "Mistral AI", "Mistral", "Grok", "xAI", "Qwen", "Llama", "Meta AI",
    "SmolLM",
)  # fmt: skip

_I_AM = r"\bI am\b|\bI['’]m\b|\bmy name is\b|\bcall me\b"
_MADE = r"(?:made|built|trained|developed|created)\s+by"
_MACHINE = rf"(?:\bI was|\b(?:language )?model|\bAI|\bassistant),?\s+{_MADE}|\bassistant,?\s+called"
_BY_NAME = r"\bI, as\b|\bas\b|\bthis is\b|\bwritten by\b|\bsigned,?"


def unsigned(draft: str, names: Iterable[str], question: str) -> str:
    """The draft without the names of those who take part."""
    asked = question.casefold()
    whole = [name for name in names if name.strip() and name.casefold() not in asked]
    for name in sorted(whole, key=len, reverse=True):
        draft = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", WITHHELD, draft, flags=re.IGNORECASE)
    parts = [part for name in whole for part in name.split() if part.istitle() and len(part) > 2]
    draft = _introductions(draft, parts, f"{_I_AM}|{_BY_NAME}")
    return _introductions(draft, _MAKERS, f"{_I_AM}|{_MACHINE}")


def _introductions(draft: str, names: Sequence[str], words: str) -> str:
    """Where somebody says who it is, or signs."""
    if not names:
        return draft
    name = "|".join(re.escape(each) for each in sorted(names, key=len, reverse=True))
    says = rf"((?i:{words})\s+)(?:{name})(?!\w)"
    draft = re.sub(says, rf"\g<1>{WITHHELD}", draft)
    signs = rf"(?m)^([ \t]*[-–—*_]*[ \t]*)(?:{name})([ \t]*(?:here)?[ \t]*[*_:,.!]*[ \t]*)$"
    return re.sub(signs, rf"\g<1>{WITHHELD}\g<2>", draft)
