"""What a scripted provider is told: one step a line, or several in one line with ` ; ` between.

    think: Let me see.        streamed as thinking, word by word
    text: Hello there.        streamed as text, word by word
    many: 200                 so many words of text
    tool: get_weather {"city":"Oslo"}
    rate: 20                  words a second from here on; 0 is as fast as possible
    wait: 500ms               silence (ms, s, m)
    comment: keep-alive       an SSE comment
    raw: data: {"odd":1}      one line as it is, and an empty one after it
    usage: 12 34              tokens in and out; without it they are counted in words
    count                     the usage so far, told in the middle (vLLM does so with every chunk)
    finish: length            the finish reason; `finish: none` ends without one, and without [DONE]
    no-done                   a finish reason, but no [DONE]
    stall                     silence until the client leaves
    mute                      the same, without even a head of an answer
    cut                       the connection breaks here
    cut-once                  the same, unless the request goes on from the beginning of an answer
    close                     the body ends here, as if nothing were missing
    drop                      the connection closes without an answer
    error: 429 rate_limit_reached_error retry-after=1 max RPM: 3, please try again
                              a refusal; inside the stream, once something has been said
    html: 502                 a page of somebody in front of the provider
    replay: moonshot/chat-crlf.sse
    like: overloaded          one of the named behaviours below

A script holds behaviours with a line `---` between them: one for each request, the last for all
that follow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NAMED: Final[Mapping[str, str]] = {
    "wrong-key": "error: 401 invalid_authentication_error Invalid Authentication",
    "no-permission": "error: 403 permission_denied_error The API you are accessing is not open",
    "no-balance": (
        "error: 429 exceeded_current_quota_error Your account "
        "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3> is suspended due to "
        "insufficient balance, please recharge your account or check your plan and billing details"
    ),
    "rpm": (
        "error: 429 rate_limit_reached_error retry-after=1 Your account "
        "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3> request reached "
        "organization max RPM: 3, please try again after 1 seconds"
    ),
    "concurrency": (
        "error: 429 rate_limit_reached_error retry-after=1 Your account "
        "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3> request reached "
        "organization max concurrency: 1, please try again after 1 seconds"
    ),
    "tpm": (
        "error: 429 rate_limit_reached_error Your account "
        "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3> request reached "
        "organization TPM rate limit, current:523000, limit:500000"
    ),
    "tpd": (
        "error: 429 rate_limit_reached_error retry-after=30000 Your account "
        "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3> request reached "
        "organization TPD rate limit, current: 1505241, limit: 1500000"
    ),
    "overloaded": (
        "error: 429 engine_overloaded_error The engine is currently overloaded, "
        "please try again later"
    ),
    "down": "error: 503 server_unavailable Service temporarily unavailable",
    "server-error": "error: 500 unexpected_output invalid state transition",
    "filtered": (
        "error: 400 content_filter The request was rejected because it was considered high risk"
    ),
    "gone": "error: 404 resource_not_found_error Not found the model or Permission denied",
    "cut": "text: This answer breaks off in the middle of ; cut",
    "no-finish": "text: This answer ends without saying that it ends. ; finish: none",
    "in-band": (
        "text: This answer turns into ; error: 200 engine_overloaded_error "
        "The engine is currently overloaded, please try again later"
    ),
    "stall": "text: This answer falls silent ; stall",
    "silent": "mute",
    "drip": "rate: 1 ; many: 60",
    "page": "html: 200",
    "drop": "drop",
}
"""Behaviours with a name, for `like:`, for a key `sk-<name>…`, for a model `scripted-<name>`."""


class BadScript(ValueError):
    """A line of the script is none that we know; see the top of local/scripted/script.py."""

    def __init__(self, line: str) -> None:
        super().__init__(f"{line!r} is no step of a script")
        self.line = line


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    verb: str
    rest: str = ""


Behaviour = tuple[Step, ...]

_ALONE = frozenset({"count", "no-done", "stall", "mute", "cut", "cut-once", "close", "drop"})
_WITH_MORE = frozenset(
    {
        "think", "text", "many", "tool", "rate", "wait", "comment", "raw", "usage", "finish",
        "error", "html", "replay", "like",
    }
)  # fmt: skip
_INLINE = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)


def behaviour(text: str) -> Behaviour:
    """The steps of one behaviour."""
    steps: list[Step] = []
    for line in re.split(r"\n| ; ", text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        verb, colon, rest = line.strip().partition(":")
        if (verb not in _WITH_MORE or not colon) and (verb not in _ALONE or colon):
            raise BadScript(line)
        rest = rest.removeprefix(" ")
        if verb == "like":
            if rest not in NAMED:
                raise BadScript(line)
            steps.extend(behaviour(NAMED[rest]))
        else:
            steps.append(Step(verb, rest))
    return tuple(steps)


def inline(prompt: str) -> Behaviour | None:
    """The behaviour that a prompt asks for: `[[cut]]`, `[[text: Hello ; wait: 2s ; stall]]`."""
    if (match := _INLINE.search(prompt)) is None:
        return None
    return by_name(match[1].strip()) or behaviour(match[1])


def by_name(name: str) -> Behaviour | None:
    """A named behaviour, or None."""
    return behaviour(NAMED[name]) if name in NAMED else None


class Script:
    """Behaviours, one for each request; the last stays."""

    def __init__(self, text: str = "") -> None:
        parts = re.split(r"(?m)^---\s*$", text)
        self._behaviours = [steps for steps in map(behaviour, parts) if steps]
        self._next = 0

    def take(self) -> Behaviour | None:
        """The next one; None if there is no script at all."""
        if not self._behaviours:
            return None
        steps = self._behaviours[min(self._next, len(self._behaviours) - 1)]
        self._next += 1
        return steps


def seconds(text: str) -> float:
    """`500ms`, `2s`, `1m`; BadScript for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m)", text.strip())
    if match is None:
        raise BadScript(f"wait: {text}")
    return float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[match[2]]
