"""One room decides whether and when anything is tried again: discussion. Everything else asks once.

Three tries of a library, times five of a service, times five redeliveries are seventy-five
requests for one question. So the code itself is read here: no library that tries again, no client
that does so unasked, one place that sends attempts, and no loop that waits without its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("contracts", "shared", "services")
OWNER = "services/discussion/"

# --- Reading the code -----------------------------------------------------------------------


@cache
def room(name: str) -> list[tuple[str, ast.Module]]:
    """Every file of it."""
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted((ROOT / name).rglob("*.py"))
    ]


def sources(*rooms: str) -> list[tuple[str, ast.Module]]:
    return [source for name in rooms for source in room(name)]


def called(node: ast.AST) -> str:
    """What a call calls, as it is written: `asyncio.sleep`."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every function by its full name; the module itself as ``."""

    def inside(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                full = f"{name}.{child.name}".lstrip(".")
                if not isinstance(child, ast.ClassDef):
                    yield full, child
                yield from inside(child, full)
            else:
                yield from inside(child, name)

    yield "", tree
    yield from inside(tree, "")


def own(node: ast.AST) -> Iterator[ast.AST]:
    """What is in it, without the functions that are defined in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            yield child
            yield from own(child)


def where(rooms: tuple[str, ...], found: Callable[[ast.AST], bool]) -> set[str]:
    """`file function` of whatever is found."""
    return {
        f"{file} {name}".strip()
        for file, tree in sources(*rooms)
        for name, function in functions(tree)
        if any(found(node) for node in own(function))
    }


# --- No library tries again -----------------------------------------------------------------

AGAIN = re.compile(
    r"tenacity|backoff|stamina|retry|retrying|opnieuw|aiohttp[-_]retry|httpx|requests|"
    r"openai|anthropic|litellm|google-genai|mistralai|groq|cohere|boto3"
)
"""Libraries that repeat, and clients of providers, which all do by themselves."""


def pinned(file: Path) -> set[str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)\s*==", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {name.lower() for name in found}


@pytest.mark.parametrize(
    "file",
    [
        *sorted((ROOT / "requirements").glob("[!d]*.txt")),
        ROOT / "requirements" / "deploy.txt",
        ROOT / "requirements" / "discussion.txt",
    ],
    ids=lambda file: file.name,
)
def test_no_part_that_runs_tries_again_by_itself(file: Path) -> None:
    assert sorted(name for name in pinned(file) if AGAIN.fullmatch(name)) == []


def test_nobody_imports_what_only_tests_have() -> None:
    imported = {
        (file, module)
        for file, tree in sources(*ROOMS, "local", "deploy")
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if AGAIN.fullmatch(module.partition(".")[0]) or "urllib3" in module
    }
    assert imported == set()


# --- No client tries again ------------------------------------------------------------------

SENDING = {"get", "post", "put", "patch", "delete", "head", "options", "request", "ws_connect"}


def is_http(node: ast.AST) -> bool:
    """A request of an HTTP client: `session.get(…)`, `self._http.request(…)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = ast.unparse(node.func.value).rpartition(".")[2].strip("_")
    return node.func.attr in SENDING and owner in {"session", "http", "client_session"}


def test_no_request_follows_a_redirect() -> None:
    """A key must not travel to where a provider, or who is in between, points."""
    checked, following = 0, list[str]()
    for file, tree in sources(*ROOMS, "local"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and is_http(node):
                checked += 1
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if said.get("allow_redirects") != "False":
                    following.append(f"{file}:{node.lineno}")
    assert following == []
    assert checked >= 3, "the test no longer knows a request when it sees one"


def test_the_client_that_speaks_to_providers_is_kept_from_repeating() -> None:
    """aiohttp sends a GET again after its connection broke; one middleware keeps it from that
    (tests/integration/adapter/test_once.py shows that it does), and there is no other."""
    sessions = {
        file: {word.arg: ast.unparse(word.value) for word in node.keywords}
        for file, tree in sources("services")
        for node in ast.walk(tree)
        if called(node).endswith("ClientSession") and isinstance(node, ast.Call)
    }

    assert list(sessions) == ["services/provider_adapter/session.py"]
    assert sessions["services/provider_adapter/session.py"]["middlewares"] == "(_once,)"


# --- One place sends, and sends once --------------------------------------------------------


def asks_adapter(verb: str) -> Callable[[ast.AST], bool]:
    def found(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call) or not called(node).endswith("command_subject"):
            return False
        return [ast.unparse(arg) for arg in node.args] == ["'provider_adapter'", f"'{verb}'"]

    return found


@pytest.mark.parametrize(
    ("verb", "who"),
    [
        ("attempt", {"services/discussion/turns.py Turns._send"}),
        ("probe", {"services/discussion/probes.py Probes._ask"}),
    ],
)
def test_each_request_to_the_adapter_has_one_sender(verb: str, who: set[str]) -> None:
    assert where((*ROOMS, "local"), asks_adapter(verb)) == who


def test_nobody_writes_the_adapters_subject_by_hand() -> None:
    written = where(
        (*ROOMS, "local", "deploy"),
        lambda node: (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "cmd.provider_adapter" in node.value
        ),
    )
    # Only to find out whether a broker that is not ours keeps strangers from it; it is empty.
    assert written == {"local/doctor.py _permissions"}


def test_an_attempt_is_made_in_one_place_and_sent_from_there_once() -> None:
    """A fresh id, the fact that it begins and its permit are one transaction; then it is sent.

    Nothing else calls what sends, and no loop is around it."""
    turns = "services/discussion/turns.py"
    assert where(ROOMS, lambda node: called(node) == "RunAttempt") == {f"{turns} Turns._begin"}
    assert where(ROOMS, lambda node: called(node) == "self._send") >= {f"{turns} Turns.due"}
    tree = dict(sources("services"))[turns]
    by_name = dict(functions(tree))
    sends = [node for node in ast.walk(tree) if called(node) == "self._send"]
    assert len(sends) == 1
    for name in ("Turns.due", "Turns._begin", "Turns._send"):
        assert not [node for node in own(by_name[name]) if is_loop(node)], name


def test_only_discussion_decides_whether_anything_is_tried_again() -> None:
    deciding = {"services.discussion.backoff", "services.discussion.remedies"}
    importing = {
        file
        for file, tree in sources(*ROOMS, "local", "deploy")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (
            node.module in deciding
            or any(f"{node.module}.{alias.name}" in deciding for alias in node.names)
        )
    }
    assert {file for file in importing if not file.startswith(OWNER)} == set()
    deciders = where(ROOMS, lambda node: called(node) == "remedy")
    assert deciders == {"services/discussion/aggregate/endings.py _remedied"}


# --- Every loop that waits has its reason ---------------------------------------------------

LOOPS_THAT_WAIT = {
    # The bus and the journal: nothing of them reaches a provider.
    "shared/answering.py Answering.stop": "until the requests that were begun are answered",
    "shared/connection.py Connection.until_connected": "a broker that is away is waited for",
    "shared/nats_client.py NatsClient._schedule_write": "what follows closely goes in one packet",
    "shared/nats_client.py NatsClient.room": "lets others run once the socket has taken it",
    "shared/pull.py Consuming.run": "the next messages, when there is room for them",
    "shared/pull.py Consuming._pull": "asks JetStream again after it has refused",
    "shared/pull.py Consuming._say_still_working": "tells the broker that a message is worked on",
    "shared/relay.py Relay.run": "the relay's poll: its lead, its database, its broker",
    "shared/topology.py ask": "JetStream wakes up later than its server",
    # Who waits within a service.
    "services/discussion/wakeups.py Wakeups.run": "the alarm clock: what is due is a row",
    "services/discussion/wakeups.py Wakeups._claim": "the database is away: nothing is admitted",
    "services/key_vault/housekeeping.py keep_house": "forgets what is over; asks nobody",
    "services/key_vault/verification.py Verification.run": (
        "looks for questions that are due; discussion admits each of them, or does not"
    ),
    "services/key_vault/verification.py Verification._settled": (
        "waits for the answer to a question that another replica has put, to put none itself"
    ),
    "services/provider_adapter/beat.py Beat._run": "flushes live text and pulses to the bus",
    "services/provider_adapter/outbox.py Outbox.run": "the next outcome to hand to the broker",
    "services/provider_adapter/outbox.py Outbox._deliver": (
        "an outcome is published until the broker has it; the request itself is over"
    ),
    "services/provider_adapter/running.py Running.look_after": "notices what has fallen silent",
    # The edge, towards its readers and discussion's log.
    "services/edge/auth.py Doorkeeper.on_revocation": "a stream ends with its token",
    "services/edge/auth.py Doorkeeper._look_again": "asks the vault again once it is back",
    "services/edge/sse.py bring": "a reader that does not take its page is cut",
    "services/edge/call.py read": "the rest of one request's body",
    "services/edge/door.py Connection._expect_head": "closes a connection that says nothing",
    "services/edge/hub.py Hub._wonder": "an attempt nobody has told of: asks the log for it",
    "services/edge/hub.py Hub._refill": "reads the log again when the broker is back",
    "services/edge/hub.py Hub._read_text": "what is missing of a text may be stored a moment later",
    "services/edge/hub.py Hub._tick_later": "heartbeats of the streams",
    "services/edge/hub.py Hubs.release": "keeps a hub for who comes back at once",
    "services/edge/outlet.py Outlet.end": "cuts a reader that does not take its farewell",
}
"""Function → why it waits. Who adds a loop that waits says here why it can never become a storm."""

WAITS = {"sleep", "call_later", "call_at"}
WAITS_IN_A_LOOP = WAITS | {"wait", "wait_for", "timeout", "timeout_at"}


def is_loop(node: ast.AST) -> bool:
    return isinstance(node, ast.While | ast.For | ast.AsyncFor)


def waits(node: ast.AST) -> bool:
    """It sleeps, or sets a timer, or goes round until something happens."""
    last = called(node).rpartition(".")[2]
    if last in WAITS:
        return True
    return is_loop(node) and any(
        called(inner).rpartition(".")[2] in WAITS_IN_A_LOOP for inner in own(node)
    )


def test_every_loop_that_waits_has_its_reason() -> None:
    found = where(("shared", "services"), waits)

    new = sorted(found - LOOPS_THAT_WAIT.keys())
    gone = sorted(LOOPS_THAT_WAIT.keys() - found)
    assert new == [], "say in LOOPS_THAT_WAIT why each of these cannot become a storm"
    assert gone == [], "these wait no more: take them off the list"


@pytest.mark.parametrize(
    "source",
    [
        "async def f():\n    while True:\n        await asyncio.sleep(1)",
        "async def f():\n    for _ in range(3):\n        await sleep(1)",
        "async def f():\n    while not done:\n        await asyncio.wait(tasks)",
        "async def f():\n    while True:\n        async with asyncio.timeout(1): ...",
        "def f():\n    loop.call_later(1, f)",
        "def f():\n    def g():\n        time.sleep(1)\n    g()",
    ],
)
def test_a_wait_is_recognised_in_every_form(source: str) -> None:
    tree = ast.parse(source)
    assert any(waits(node) for _, function in functions(tree) for node in own(function))
