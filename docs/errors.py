"""Write `docs/errors.md`: everything that Parley says when something does not work.

The page is read out of the source itself, so nothing that can be said is missing and nothing on it
is out of date. What stands in a message only at run time is shown by an example.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby, islice, product
from pathlib import Path

from contracts import addresses, endpoints, failures
from contracts.failures import PARKING, FailureClass, Refused
from contracts.providers import PROVIDERS
from services.discussion import words
from services.edge import call, problems

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "errors.md"

AREAS: Mapping[str, str] = {
    "services/key_vault": "Keys and access tokens",
    "services/discussion/workflows": "Workflows and runs",
    "services/discussion": "Discussions and models",
    "services/persona": "Personas",
    "services/edge": "Every request",
    "shared": "Every request",
}
"""Where messages that people see come from, and the chapter they belong to."""

ADDRESSES = (ROOT / "contracts" / "addresses.py", ROOT / "contracts" / "endpoints.py")
"""What an endpoint beside the built-in providers may be called, and where it may be."""

BETWEEN_OURSELVES = frozenset({"bad-recipient", "bad-token-hash", "bad-workspace", "key-endpoint"})
"""What only one service ever says to another, by its slug."""

_BORROWING = "services/key_vault/lending.py"
"""Only services borrow keys: no person hears what is said there."""

EXAMPLES: Mapping[str, str] = {
    "clean.message": "the address is not a public one.",
    "key.provider": "acme",
    "wish.provider": "acme",
    "name!r": "kimi-k9",
    "provider!r": "kimy",
    "host": "api.moonshot.ai",
    "_host(key)": "api.moonshot.ai",
    "_name(first)": "api.moonshot.ai",
    "_name(other)": "api.moonshot.cn",
    "there": "api.moonshot.cn",
    "said": " (401 invalid_authentication_error)",
    "balance": " The account's balance is 0.00 USD.",
    "_said(said.evidence)": " (401 invalid_authentication_error)",
    "_said(there.evidence)": " (401 invalid_authentication_error)",
    "there.reason": "api.moonshot.cn could not be reached.",
    "row.title": "Kimi",
    "row.name": "kimi",
    "row.docs": PROVIDERS["kimi"].docs,
    "row.absent": PROVIDERS["ollama"].absent,
    "form": "cn",
    "key.endpoint": "https://api.moonshot.ai/v1",
    "why": ": the connection broke.",
    "where": "“cn” (api.moonshot.cn)",
    "key.state": "revoked",
    "before.state": "disabled",
    "key.reason": "It was revoked by a person.",
    "before.reason": "It was taken out of use by a person.",
    "said.reason": "api.moonshot.ai refused the key (401 invalid_authentication_error).",
    "said.next_step": "Make a new key in the provider's console and add that.",
    "there.label": "for the team",
    "there.id": "0192f0c4-1111-7bbb-8ccc-0123456789ab",
    "there.state": "active",
    "there.next_step": "",
    "error.key": "0192f0c4-1111-7bbb-8ccc-0123456789ab",
    "name or ''[:40]": "eu",
    "(name or '')[:40]": "eu",
    "slug[:80]": "riley",
    "command.slug[:80]": "riley",
    "slug!r": "ada-lovelace",
    "taken.slug": "ada-lovelace",
    "archived.slug": "ada-lovelace",
    "outdated.slug": "ada-lovelace",
    "outdated.newest": "3",
    "found.name": "Ada Lovelace",
    "found.slug": "ada-lovelace",
    "wanted": "kimi/kimi-k2-0711-preview",
    "wanted!r": "openai/text-embedding-3-large",
    "wanted[:200]": "kimi/kimi-k9",
    "provider": "kimi",
    "call.segments['provider']": "kimy",
    "successor": "kimi-k2.6",
    "', '.join(takes_keys)": ", ".join(row.name for row in PROVIDERS.values() if row.needs_key),
    "', '.join(names)": "ai, cn, code",
    "', '.join(KINDS)": "rpm, tpm, tpd, concurrency",
    "kind!r": "rps",
    "kind": "rpm",
    "command.provider": "kimy",
    "command.provider[:40]": "kimy",
    "name[:40]": "kimy",
    "count": "9",
    "place": "12",
    "asking": "admin",
    "identity.role": "viewer",
    "roles": "admin, owner",
    "methods": "GET, HEAD, POST",
    "what": "key",
    "wish": "tools",
    "double[:40]": "topic",
    "incident": "4f1c0a2b9d3e5f60",
    "hint": "did you mean topic?",
    "kept": "The key stays as it was.",
    "found[0]['msg'].removeprefix('Invalid JSON: ')": "EOF while parsing a string at column 12",
    "first['field']": "topic",
    "first['message']": "must say something",
    "BODY >> 20": "4",
    "LINE >> 10": "8",
    "TARGET >> 10": "8",
    "row.refuses[name]": "it has no such parameter",
    "parts.scheme[:20] or 'no scheme'!r": "http",
    "sign": "?",
    "part": "query",
    "_plain(url)": "https://xn--pi-6kc.moonshot.ai",
    "host[:60]": "0x7f.1",
    "host[:60]!r": "a_b.example",
    "target": "169.254.169.254",
    "purpose": "this machine's link, where clouds keep their metadata",
    "vendor": "api.moonshot.ai",
    "title": "Kimi (Moonshot AI)",
    "port": "8443",
    "listed": "443",
    "operation": "/chat/completions",
    "path.removesuffix(operation) or 'the host alone'": "/v1",
    "name[:32]!r": "Acme",
    "name[:80]": "printer.local",
    "name[:100]": "api.moonshot.ai.example.com",
    "named": "acme",
    "NAMES": endpoints.NAMES,
    "PROVIDERS[name].title": PROVIDERS["kimi"].title,
    "endpoint": "https://llm.acme.example/v1",
    "row.title or named": "Acme",
    "row.base_url": "https://llm.elsewhere.example/v1",
    "' '.join(refused.values())": "stop cannot be asked of xAI's grok-4.7: "
    "its reasoning models answer 400 to stop sequences.",
    "' and '.join(refused)": "stop",
    "dollars(need)": "$0.42",
    "name_of(purse)": "the workspace's budget of $5.00 a day",
    "_left(purse)": "$0.10 of the workspace's budget of $5.00 a day",
    "_busy(purse)": " $0.05 is held for what is being answered.",
    "_place(purse)": "workspace",
    "_what_fits(purse, turns)": "Answers of at most 640 tokens would fit: set "
    "options.max_completion_tokens. Or name fewer participants, or a cheaper model, wait until "
    "2026-12-01 00:00 UTC, or ask an admin to raise the budget (PUT /api/v1/budgets/workspace).",
}
"""What an expression in a message may stand for."""

MOST_VARIANTS = 8

_SOMETHING = "…"
"""For what has no example."""


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """One thing that a person may be told."""

    area: str
    status: int
    slug: str
    title: str
    detail: str
    next_step: str


# --- Read out of the source -----------------------------------------------------------------


REFUSALS: Mapping[str, type[Refused]] = {
    name: found
    for module in (failures, problems, call)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, Refused)
}


class Room:
    """One source file and what it says."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(ROOT).as_posix()
        areas = (area for room, area in AREAS.items() if self.name.startswith(room))
        self.area = next(areas, "")
        self._tree = ast.parse(path.read_text())
        self._called = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        self._inside: dict[ast.AST, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        for function in ast.walk(self._tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    self._inside[node] = function  # the innermost comes last

    def refusals(self) -> Iterator[Said]:
        """Refused requests, with the usual advice where they bring none of their own."""
        for call_ in self._calls():
            kind = REFUSALS.get(_name(call_.func))
            if kind is None or not (call_.args or call_.keywords):
                continue
            told = {each.arg: each.value for each in call_.keywords if each.arg}
            usual = problems.USUAL_STEPS.get(kind.status, "")
            slugs = self._texts(told.get("slug"), call_) or [kind.slug]
            titles = self._texts(told.get("title"), call_) or [kind.title]
            details = self._texts(call_.args[0] if call_.args else None, call_) or [""]
            steps = self._texts(told.get("next_step"), call_) or [usual]
            for detail, step in _paired(details, steps):
                if _SOMETHING in detail or slugs[0] in BETWEEN_OURSELVES:
                    continue  # it only passes on what is said elsewhere
                yield Said(self.area, kind.status, slugs[0], titles[0], detail, step)

    def verdicts(self) -> Iterator[tuple[str, str]]:
        """What a provider's answer about a key is said to mean, and what to do."""
        if not self.name.startswith("services/key_vault"):
            return
        for call_ in self._calls():
            if _name(call_.func) in {"Denied", "NoAnswer", "Stranded"} and len(call_.args) > 1:
                reasons, steps = (self._texts(argument, call_) for argument in call_.args[:2])
                yield from _paired(reasons, steps)

    def failures(self) -> Iterator[tuple[str, str, str, str]]:
        """Failures of turns that are put into words where they are found."""
        for call_ in self._calls():
            told = {each.arg: each.value for each in call_.keywords if each.arg}
            if _name(call_.func) != "Failure" or not isinstance(told.get("class_"), ast.Attribute):
                continue
            class_ = FailureClass[_name(told["class_"])].value
            titles, details, steps = (
                self._texts(told[name], call_) for name in ("title", "detail", "next_step")
            )
            for title, detail, step in product(titles, details, steps):
                yield class_, title, detail, step

    def wrong_values(self) -> Iterator[str]:
        """What may be wrong with one field of a body."""
        for call_ in self._calls():
            if _name(call_.func) == "PydanticCustomError":
                for text in self._texts(call_.args[1], call_):
                    yield text.replace("{name}", "'topik'").replace("{hint}", EXAMPLES["hint"])

    def bad_endpoints(self) -> Iterator[tuple[str, str]]:
        """What may be wrong with the name or the address of an endpoint, and what to do."""
        for call_ in self._calls():
            match _name(call_.func), call_.args:
                case "BadAddress", [message, *step]:
                    steps = self._texts(step[0] if step else None, call_) or [addresses.USUAL]
                    yield from _paired(self._texts(message, call_), steps)
                case "BadEndpoint" | "NameTaken", [message]:
                    for text in self._texts(message, call_):
                        if _SOMETHING not in text and "PARLEY_" not in text:
                            yield text, "Choose another name."
                case _:
                    pass

    def wire_errors(self) -> Iterator[tuple[int, str, str]]:
        """What only the OpenAI-compatible door says."""
        for call_ in self._calls():
            told = {each.arg: each.value for each in call_.keywords if each.arg}
            match _name(call_.func), told.get("status"), told.get("code"):
                case "WireError", ast.Constant(value=int(status)), ast.Constant(value=str(code)):
                    for text in self._texts(told["message"], call_):
                        if _SOMETHING not in text:
                            yield status, code, text
                case _:
                    pass

    def _calls(self) -> Iterator[ast.Call]:
        return iter(self._called)

    # --- An expression as the texts that it may be ------------------------------------------

    def _texts(self, node: ast.expr | None, at: ast.AST) -> list[str]:
        found = [] if node is None else self._variants(node, at)
        return list(dict.fromkeys(" ".join(text.split()) for text in found))[:MOST_VARIANTS]

    def _variants(self, node: ast.expr, at: ast.AST) -> list[str]:
        if (example := EXAMPLES.get(ast.unparse(node))) is not None:
            return [example]
        match node:
            case ast.Constant(value=value):
                return [str(value)]
            case ast.JoinedStr(values=parts):
                return self._joined(parts, at)
            case ast.FormattedValue(value=value, conversion=conversion):
                if conversion != ord("r"):
                    return self._variants(value, at)
                example = EXAMPLES.get(f"{ast.unparse(value)}!r")
                return [repr(text) for text in [example] if text] or [
                    repr(text) for text in self._variants(value, at)
                ]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right], at)
            case ast.IfExp(body=yes, orelse=no):
                return [*self._variants(yes, at), *self._variants(no, at)]
            case ast.BoolOp(values=values):
                return [text for value in values for text in self._variants(value, at) if text]
            case ast.Call(func=ast.Attribute(value=text, attr="strip")):
                return self._variants(text, at)
            case ast.Name(id=name):
                return self._named(name, at)
            case _:
                return [_SOMETHING]

    def _joined(self, parts: Iterable[ast.expr], at: ast.AST) -> list[str]:
        every = product(*(self._variants(part, at) for part in parts))
        return ["".join(chosen) for chosen in islice(every, MOST_VARIANTS)]

    def _named(self, name: str, at: ast.AST) -> list[str]:
        """What was assigned to the name, or passed as this parameter."""
        function = self._inside.get(at)
        places = [self._tree] if function is None else [function, self._tree]
        for node in (node for place in places for node in ast.walk(place)):
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == name for target in node.targets
            ):
                return self._variants(node.value, node)
        parameters = [argument.arg for argument in function.args.args] if function else []
        if function is None or name not in parameters:
            return [_SOMETHING]
        place = parameters.index(name)
        passed = [
            text
            for call_ in self._calls()
            if _name(call_.func) == function.name and len(call_.args) > place
            for text in self._variants(call_.args[place], call_)
        ]
        return passed or [_SOMETHING]


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _paired(details: list[str], steps: list[str]) -> Iterator[tuple[str, str]]:
    """Alternatives that were decided together belong together."""
    if len(details) == len(steps):
        yield from zip(details, steps, strict=True)
    else:
        yield from product(details, steps)


@cache
def rooms() -> list[Room]:
    """Every file that says something to people."""
    files = sorted(path for area in AREAS for path in (ROOT / area).glob("*.py"))
    return [Room(file) for file in files if file != ROOT / _BORROWING]


def refusals() -> list[Said]:
    """Everything that an HTTP request may be refused with."""
    order = list(AREAS.values())
    found = {said for room in rooms() for said in room.refusals()}
    return sorted(found, key=lambda said: (order.index(said.area), said))


def verdicts() -> list[tuple[str, str]]:
    """Everything that may be said of a key."""
    return list(dict.fromkeys(each for room in rooms() for each in room.verdicts()))


def wrong_values() -> list[str]:
    """Everything that may be wrong with a value."""
    return sorted({text for room in rooms() for text in room.wrong_values()})


def failures_elsewhere() -> list[tuple[str, str, str, str]]:
    """Class, title, what happened, what to do: of turns whose trouble no provider has caused."""
    return list(dict.fromkeys(each for room in rooms() for each in room.failures()))


def bad_endpoints() -> list[tuple[str, str]]:
    """Everything that may be wrong with an endpoint that is to be added."""
    return list(dict.fromkeys(each for path in ADDRESSES for each in Room(path).bad_endpoints()))


def wire_errors() -> list[tuple[int, str, str]]:
    """Everything that only the OpenAI-compatible door says."""
    return sorted({each for room in rooms() for each in room.wire_errors()})


def turn_failures() -> list[failures.Failure]:
    """Everything that a turn may wait for, or end with."""
    tree = ast.parse(Path(words.__file__).read_text())
    known = {
        (_name(patterns[0].value), _hint(patterns[1]))
        for case in ast.walk(tree)
        if isinstance(case, ast.match_case) and isinstance(case.pattern, ast.MatchSequence)
        for patterns in [case.pattern.patterns]
        if isinstance(patterns[0], ast.MatchValue)
    }
    return [
        words.explain(class_, "kimi/kimi-k3", hint=hint, final=class_ not in PARKING)
        for class_ in FailureClass
        for hint in sorted(
            hint for name, hint in known | {(class_.name, "")} if name == class_.name
        )
    ]


def _hint(pattern: ast.pattern) -> str:
    match pattern:
        case ast.MatchValue(value=ast.Constant(value=str(hint))):
            return hint
        case _:
            return ""


# --- Written down ---------------------------------------------------------------------------


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_about_keys(), *_about_turns(), *_about_requests(), ""])


_HEAD = """\
# When something does not work

Everything that Parley says when something does not work, and what to do then. The same words are
in the HTTP answer (`detail` and `next_step`), on the page and in the terminal. Names and addresses
are examples.

This page is made from the code by `make docs`; changes made here are lost.
"""


def _about_keys() -> Iterator[str]:
    yield "## What is said of a key\n"
    yield "A key that the provider does not take is kept, is not used, and says why.\n"
    for reason, step in verdicts():
        yield f"- {reason}  \n  → {step}"
    yield ""


def _about_turns() -> Iterator[str]:
    yield "## Why an answer is missing\n"
    yield "In `failure` of a turn. What the provider itself has said is quoted after `detail`.\n"
    for class_, told in groupby(turn_failures(), key=lambda failure: failure.class_):
        yield f"### `{class_.value}`\n"
        for failure in told:
            yield f"- **{failure.title}.** {failure.detail}  \n  → {failure.next_step}"
        for name, title, detail, next_step in failures_elsewhere():
            if name == class_.value:
                yield f"- **{title}.** {detail}  \n  → {next_step}"
        yield ""


def _about_requests() -> Iterator[str]:
    yield "## Why a request was refused\n"
    yield "As `application/problem+json`; `type` is `urn:parley:problem:` and the name here.\n"
    for area, of_area in groupby(refusals(), key=lambda said: said.area):
        yield f"### {area}\n"
        for (status, slug), alike in groupby(of_area, key=lambda said: (said.status, said.slug)):
            yield f"#### {status} `{slug}`\n"
            for said in alike:
                yield f"- **{said.title}.** {said.detail}".rstrip() + f"  \n  → {said.next_step}"
            yield ""
    yield "### An endpoint that cannot be added\n"
    yield "In a 422 `bad-base-url` or `bad-name`, or a 409 `endpoint-name-taken`.\n"
    yield from (f"- {what}  \n  → {step}" for what, step in bad_endpoints())
    yield "\n### One wrong value\n"
    yield "In `errors` of a 422 `invalid`, with the name of the field.\n"
    yield from (f"- {text}" for text in wrong_values())
    yield "\n### At the OpenAI-compatible door\n"
    yield "Under `/v1` all of this comes in OpenAI's form, and these too:\n"
    yield from (f"- {status} `{code}` {text}" for status, code, text in wire_errors())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
