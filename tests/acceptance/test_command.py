"""The `parley` command against a running system, as somebody in a shell uses it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from local.home import CHECKOUT
from shared.ids import fresh
from tests.eventually import eventually
from tests.systems import Client, RunningSystem

NOBODY_LISTENS = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Ended:
    status: int
    said: str
    remarks: str


async def parley(system: RunningSystem, *words: str, typed: str = "") -> Ended:
    """Run it to its end, its output going into a pipe."""
    # In a thread: asyncio's own subprocess may leave a pipe open to the end of the test's loop.
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "local", *words],
        cwd=CHECKOUT,
        env={**os.environ, "PARLEY_HOME": str(system.launched.home.path)},
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


async def test_ask_writes_the_answer_that_is_kept(
    running_system: RunningSystem, client: Client
) -> None:
    topic = "[[text: Bread is 🍞 — and nothing else.]] What is bread?"
    asked = await parley(running_system, "ask", topic, "--persona", "riley-engstrom")
    _, listed = await client.ask("GET", "/api/v1/discussions?q=What+is+bread")
    kept = await client.read(listed["items"][0]["id"])

    assert asked.status == 0, asked.remarks
    assert asked.said == kept["turns"][0]["text"] + "\n"


async def test_discuss_shows_a_debate_turn_by_turn(running_system: RunningSystem) -> None:
    words = ("discuss", "[[text: A point.]] Tea?", "--rounds", "1", "--with", "ines-duarte")

    debated = await parley(running_system, *words)

    assert debated.status == 0, debated.remarks
    said = [line for line in debated.said.splitlines() if "answers" in line or "moderates" in line]
    assert ["Riley" in said[0], "Morgan" in said[1], "Ines" in said[2]] == [True] * 3
    refused = await parley(running_system, "discuss", "Tea?", "--mode", "debate", "-p", "nobody")
    assert refused.status != 0
    assert "2 to 8" in refused.remarks


async def test_the_models_are_listed_with_what_they_cost_and_can_do(
    running_system: RunningSystem,
) -> None:
    listed = await parley(running_system, "models", "--refresh")

    assert listed.status == 0, listed.remarks
    (line,) = [line for line in listed.said.splitlines() if "kimi/kimi-k2.6 " in line]
    assert " ".join(line.split()) == (
        "kimi/kimi-k2.6 262,144 0.95 0.16 4 2026-11-22 think, see used when nobody chooses"
    )
    assert "kimi/kimi-latest" not in listed.said
    assert "models at http" in listed.remarks
    everything = await parley(running_system, "models", "--retired")
    assert "retired: use kimi/kimi-k2.6" in everything.said


async def test_ask_says_aside_what_was_left_out(running_system: RunningSystem) -> None:
    asked = await parley(running_system, "ask", "[[text: Warm.]]", "--temperature", "0.2")

    assert (asked.status, asked.said) == (0, "Warm.\n")
    assert "temperature was left out: kimi-" in asked.remarks


async def test_ask_goes_on_with_what_people_say_meanwhile(
    running_system: RunningSystem, client: Client
) -> None:
    word = f"w{fresh()[-12:]}"
    asking = asyncio.create_task(
        parley(running_system, "ask", f"[[rate: 15 ; many: 30]] {word}", "-p", "riley-engstrom")
    )

    async def begun() -> str:
        _, listed = await client.ask("GET", f"/api/v1/discussions?q={word}")
        return listed["items"][0]["id"] if listed["items"] else ""

    discussion = await eventually(begun, within=timedelta(seconds=30))
    path = f"/api/v1/discussions/{discussion}/messages"
    status, _ = await client.ask("POST", path, {"text": "[[text: And sugar.]]"})
    assert status == 201
    asked = await asking

    first, second = (await client.read(discussion))["turns"]
    assert asked.status == 0, asked.remarks
    assert asked.said == f"{first['text']}\n\n{second['text']}\n"
    assert "From the room: [[text: And sugar.]]" in asked.remarks


async def test_ask_spends_no_more_than_it_may(running_system: RunningSystem) -> None:
    asked = await parley(running_system, "ask", "[[text: Dear.]]", "--budget", "0")
    wrong = await parley(running_system, "ask", "[[text: Dear.]]", "--budget", "much")

    assert (asked.status, asked.said) == (1, "")
    assert "budget" in asked.remarks
    assert wrong.status == 1
    assert "budget" in wrong.remarks


async def test_ask_puts_several_answers_under_their_names(running_system: RunningSystem) -> None:
    asked = await parley(
        running_system, "ask", "[[text: Yes.]]", "-p", "riley-engstrom", "-p", "morgan-castellano"
    )

    assert asked.status == 0, asked.remarks
    assert "## Riley Engstrom (kimi/" in asked.said
    assert "## Morgan Castellano (kimi/" in asked.said


async def test_ask_says_why_it_was_refused_and_what_to_do(running_system: RunningSystem) -> None:
    asked = await parley(running_system, "ask", "Well?", "--persona", "riley-engstorm")

    assert asked.status == 1
    assert asked.said == ""
    assert "riley-engstrom" in asked.remarks


async def test_ask_says_how_to_start_what_is_not_there(running_system: RunningSystem) -> None:
    asked = await parley(running_system, "ask", "Well?", "--url", NOBODY_LISTENS)

    assert asked.status == 1
    assert "make run" in asked.remarks


async def test_the_doctor_finds_everything_well(running_system: RunningSystem) -> None:
    looked = await parley(running_system, "doctor")

    assert looked.status == 0, looked.said
    assert "are enforced" in looked.said
    assert "✗" not in looked.said


async def test_the_doctor_says_what_to_do(running_system: RunningSystem) -> None:
    looked = await parley(running_system, "doctor", "--url", NOBODY_LISTENS)

    assert looked.status == 1
    assert "→ Start it with `make run`" in looked.said


async def test_keys_are_listed_without_being_shown(running_system: RunningSystem) -> None:
    listed = await parley(running_system, "keys", "list")

    assert listed.status == 0, listed.remarks
    assert "kimi" in listed.said
    assert "sk-" not in listed.said


async def test_limits_are_changed_shown_and_taken_back(running_system: RunningSystem) -> None:
    before = await parley(running_system, "providers")
    changed = await parley(running_system, "providers", "limits", "kimi", "--rpm", "59000")
    after = await parley(running_system, "providers")
    back = await parley(running_system, "providers", "limits", "kimi", "--reset")

    assert changed.status == back.status == 0, changed.remarks + back.remarks
    assert "rpm=60000" in before.said
    assert "rpm=59000, tpm=100000000, concurrency=100 (set here)" in after.said
    assert "rpm=60000" in back.said
    assert "set here" not in back.said


async def test_a_limit_that_is_none_changes_nothing(running_system: RunningSystem) -> None:
    unknown = await parley(running_system, "providers", "limits", "kimmi", "--rpm", "3")
    too_many = await parley(running_system, "providers", "limits", "kimi", "--rpm", "1000001")

    assert unknown.status == too_many.status == 1
    assert "kimi" in unknown.remarks
    assert "rpm" in too_many.remarks


async def test_seeding_again_names_the_personas(running_system: RunningSystem) -> None:
    seeded = await parley(running_system, "seed")

    assert seeded.status == 0, seeded.remarks
    assert "riley-engstrom\n" in seeded.said


async def test_a_persona_goes_through_its_life_on_the_command_line(
    running_system: RunningSystem, tmp_path: Path
) -> None:
    async def personas(*words: str, typed: str = "") -> Ended:
        return await parley(running_system, "personas", *words, typed=typed)

    document = tmp_path / "mary.json"
    made = await personas(
        "create", "Mary Shelley", "--title", "Novelist", typed="You are Mary. Tell.\n"
    )
    revised = await personas("revise", "mary-shelley", "--model", "kimi/kimi-k2.6")
    nothing = await personas("revise", "mary-shelley")
    wrong = await personas("revise", "mary-shelley", "--model", "kimi/kimi-k2-0711-preview")
    shown = await personas("show", "mary-shelley")
    exported = await personas("export", "mary-shelley", "-o", str(document))
    archived = await personas("archive", "mary-shelley")
    listed = await personas("list")
    restored = await personas("restore", "mary-shelley")
    imported = await personas("import", str(document))
    unread = await personas("import", "-", typed="{")

    assert (made.status, "mary-shelley" in made.said) == (0, True), made.remarks
    assert revised.status == 0, revised.remarks
    assert nothing.status == 2
    assert (wrong.status, "kimi/kimi-k2.6" in wrong.remarks) == (1, True)
    assert shown.said == "You are Mary. Tell.\n"
    assert "version 2" in shown.remarks
    assert (exported.status, archived.status) == (0, 0)
    assert "mary-shelley" not in listed.said
    assert "riley-engstrom" in listed.said
    assert (restored.status, " 3 " in restored.said) == (0, True), restored.said
    assert (imported.status, "unchanged" in imported.said) == (0, True), imported.remarks
    assert unread.status == 2
    await personas("archive", "mary-shelley")


async def test_a_discussion_is_found_read_replayed_gone_on_with_and_deleted(
    running_system: RunningSystem, client: Client
) -> None:
    word = f"w{fresh()}"
    await parley(running_system, "ask", f"[[text: Bread.]] {word}", "-p", "riley-engstrom")
    listed = await parley(running_system, "discussions", "list", word)
    discussion = listed.said.splitlines()[1].split()[0]

    shown = await parley(running_system, "discussions", "show", discussion)
    replayed = await parley(running_system, "discussions", "replay", discussion, "--speed", "1000")
    forked = await parley(
        running_system, "discussions", "fork", discussion, "1", "-p", "morgan-castellano"
    )
    said = await parley(running_system, "discussions", "say", discussion, "[[text: Cake.]]")

    assert f"# [[text: Bread.]] {word}" in shown.said
    assert "Riley Engstrom answers" in replayed.said
    assert "Morgan Castellano answers" in forked.said, forked.remarks
    assert "Cake." in said.said, said.remarks
    assert "Bread." not in said.said, "what was known is not told again"
    for words in (("rename", discussion, "Of bread"), ("delete", discussion)):
        done = await parley(running_system, "discussions", *words)
        assert (done.status, done.remarks) == (0, "")
    status, _ = await client.ask("GET", f"/api/v1/discussions/{discussion}")
    assert status in {404, 410}


async def test_a_discussion_that_is_not_there_is_said_not_to_be(
    running_system: RunningSystem,
) -> None:
    for words in (("show",), ("watch",), ("replay",), ("cancel",), ("fork", "1")):
        told = await parley(running_system, "discussions", words[0], fresh(), *words[1:])

        assert told.status == 1, words
        assert "Traceback" not in told.remarks
        assert told.remarks.strip(), words
