"""Ask a running Parley one real question over HTTP, and check that an answer comes.

Nothing but the standard library, so it runs anywhere: `python3 deploy/smoke.py --token-file FILE`.
With `--kimi-key` a key is added first, and the question goes to Kimi.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

T = TypeVar("T")


class Parley:
    """The HTTP interface, as much of it as one question needs."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def ready(self) -> bool | None:
        """True once every service answers."""
        try:
            with urlopen(f"{self._url}/readyz", timeout=5) as answer:
                return answer.status == 200 or None
        except OSError:
            return None

    def say(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request; a refusal ends the program with the problem it names."""
        request = Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except HTTPError as refused:
            sys.exit(f"{method} {path}: {refused.code} {refused.read().decode(errors='replace')}")
        except URLError as error:
            sys.exit(f"{method} {path}: {error.reason}")


def until(fact: Callable[[], T | None], seconds: float, what: str) -> T:
    """Ask again and again until there is an answer, or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = fact()
        if found is not None:
            return found
        time.sleep(0.2)
    sys.exit(f"{what}: not within {seconds:.0f} s")


def ask(parley: Parley, model: str | None, seconds: float) -> dict[str, Any]:
    """One question to Riley Engstrom; the finished discussion."""
    who = {"persona": "riley-engstrom"} | ({"model": model} if model else {})
    opened = parley.say(
        "POST",
        "/api/v1/discussions",
        {"topic": "How do we announce a beta?", "mode": "single", "participants": [who]},
    )

    def finished() -> dict[str, Any] | None:
        now = parley.say("GET", f"/api/v1/discussions/{opened['id']}")
        return now if now["state"] in {"completed", "failed", "cancelled"} else None

    return until(finished, seconds, f"an end of discussion {opened['id']}")


def main() -> None:
    """Wait, add a key when there is one to add, ask, check."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--url", default="http://127.0.0.1:8080")
    words.add_argument("--token-file", type=Path, required=True)
    words.add_argument("--kimi-key", help="add this key first, and ask Kimi")
    words.add_argument("--ready-within", type=float, default=180, help="seconds")
    words.add_argument("--answer-within", type=float, default=120, help="seconds")
    told = words.parse_args()

    begun = time.monotonic()
    until(Parley(told.url, "").ready, told.ready_within, f"{told.url}/readyz")
    print(f"ready after {time.monotonic() - begun:.1f} s")

    parley = Parley(told.url, told.token_file.read_text(encoding="utf-8").strip())
    model = None
    if told.kimi_key:
        key = parley.say("POST", "/api/v1/keys", {"provider": "kimi", "secret": told.kimi_key})
        if key["state"] != "active":
            sys.exit(f"the key was not accepted: {json.dumps(key)}")
        model = "kimi/k2"

    begun = time.monotonic()
    answer = ask(parley, model, told.answer_within)
    turn = answer["turns"][0]
    if answer["state"] != "completed" or not turn["text"].strip():
        sys.exit(f"no answer: {json.dumps(answer, indent=2)}")
    print(f"answered after {time.monotonic() - begun:.1f} s by {turn['model']}:")
    print(f"  {' '.join(turn['text'].split())[:160]}")


if __name__ == "__main__":
    main()
