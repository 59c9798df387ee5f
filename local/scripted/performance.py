"""One answer, played step by step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from local.scripted import panel, replies
from local.scripted.http import Answering
from local.scripted.script import BadScript, Behaviour, Step, seconds

AT_ONCE = 64
"""Frames that are written before the client is waited for, when there is no pace to keep."""


class Ended(Exception):
    """The answer is over before its script is; how."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Performance:
    """Plays a behaviour to whoever asked."""

    def __init__(
        self,
        body: dict[str, Any],
        answering: Answering,
        *,
        rate: float,
        fixtures: Path | None,
        echo: replies.Echo | None = None,
    ) -> None:
        self._body = body
        self._echo = echo
        self._answering = answering
        self._rate = rate
        self._fixtures = fixtures
        self._model = str(body.get("model") or "kimi-k2.6")
        self._streams = body.get("stream") is True
        self._chunks = replies.Chunks(self._model)
        self._prefix = self._unsaid = replies.prefix_of(body)
        """`_unsaid`: what of it the script has still to pass over."""
        self._due = 0.0
        self._text: list[str] = []
        self._thought: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._usage: dict[str, int] | None = None
        self._told: dict[str, int] | None = None
        self._reason = "stop"
        self._says_done = True
        self._generated = False

    async def default(self) -> str:
        """What is said without a script."""
        if (member := panel.performance(self._body)) is not None:
            return await self.run(member)
        thought = Step("think", "Let me see what was asked, and answer it.")
        said = Step("text", replies.default_answer(replies.prompt_of(self._body)))
        return await self.run((thought, said) if "k3" in self._model else (said,))

    async def run(self, steps: Behaviour) -> str:
        """Play it; returns how it ended."""
        try:
            for step in steps:
                await self._step(step)
            await self._finish()
        except Ended as ended:
            return ended.how
        return "done"

    def bill(self) -> dict[str, int | bool] | None:
        """What this request is charged, and whether the client was told so; None: nothing, since
        nothing was generated.
        """
        if not self._generated:
            return None
        return {**self._counted(), "told": self._told == self._counted()}

    def _counted(self) -> dict[str, int]:
        """What has been read and said so far."""
        return self._usage or replies.usage_of(
            len(json.dumps(self._body.get("messages", ""))) // 4, len(self._text) + 1
        )

    async def _step(self, step: Step) -> None:
        match step:
            case Step("text", text):
                self._text.append(text)
                await self._say("content", replies.words(text))
            case Step("think", text):
                self._thought.append(text)
                await self._say("reasoning_content", replies.words(text))
            case Step("many", number):
                words = [f"word{n} " for n in range(int(number))]
                self._text.extend(words)
                await self._say("content", words)
            case Step("tool", call):
                self._call(call)
            case Step("wait", span):
                await self._flush()
                await asyncio.sleep(seconds(span))
                self._due = 0.0
            case Step("count"):
                self._tell()
                await self._flush()
            case Step("comment", text):
                self._write(f": {text}\n\n".encode())
            case Step("raw", line):
                self._write(line.encode() + b"\n\n")
            case Step("rate" | "usage" | "finish" | "no-done"):
                self._settle(step)
            case Step("cut-once") if self._prefix:
                pass
            case _:
                await self._end(step)

    def _settle(self, step: Step) -> None:
        """What holds from here on."""
        match step:
            case Step("rate", rate):
                self._rate, self._due = float(rate), 0.0
            case Step("usage", counts):
                self._usage = replies.usage_of(*map(int, counts.split()))
            case Step("finish", reason):
                self._reason = reason
            case _:
                self._says_done = False

    async def _end(self, step: Step) -> None:
        """What nothing can follow."""
        match step:
            case Step("error", rest):
                await self._refuse(rest)
            case Step("cut-once"):
                await self._stop("cut")
                raise Ended("cut")
            case Step("html", status):
                page = replies.page(int(status), self._echo.sentence if self._echo else "")
                await self._answering.whole(int(status), page, "text/html")
            case Step("replay", file):
                await self._replay(file)
            case Step(verb):
                await self._stop(verb)
                raise Ended(verb)
        raise Ended("done")

    async def _stop(self, verb: str) -> None:
        match verb:
            case "stall":
                await self._flush()
                await self._answering.until_client_leaves()
            case "mute":
                await self._answering.until_client_leaves()
            case "cut":
                await self._flush()
                await asyncio.sleep(0.01)  # or the reset would overtake what was said before
                self._answering.break_off()
            case "close":
                await self._flush()
                await self._answering.end()
            case "drop":
                pass
            case _:
                raise BadScript(verb)

    # --- Saying -----------------------------------------------------------------------------

    async def _say(self, field: str, pieces: Iterable[str]) -> None:
        if not self._streams:
            return
        loop = asyncio.get_running_loop()
        for number, whole in enumerate(pieces):
            piece = self._beyond(whole) if field == "content" else whole
            if not piece:
                continue
            if self._rate > 0:
                self._due = max(self._due + 1 / self._rate, loop.time() - 1 / self._rate)
                await asyncio.sleep(self._due - loop.time())
            self._write(self._chunks.delta(**{field: piece}))
            if self._rate > 0 or number % AT_ONCE == 0:
                await self._answering.flush()

    def _beyond(self, piece: str) -> str:
        """What of it is not the beginning that the request came with."""
        known = len(self._unsaid)
        if not self._unsaid.startswith(piece[:known]):
            self._unsaid = ""
            return piece
        self._unsaid = self._unsaid[len(piece) :]
        return piece[known:]

    def _call(self, call: str) -> None:
        name, _, arguments = call.partition(" ")
        index = len(self._calls)
        function = {"name": name, "arguments": arguments}
        whole = {"id": f"{name}_{index}", "type": "function", "function": function}
        self._calls.append(whole)
        self._reason = "tool_calls"
        if self._streams:
            first = {**whole, "index": index, "function": {"name": name, "arguments": ""}}
            rest = {"index": index, "function": {"arguments": arguments}}
            self._write(self._chunks.delta(tool_calls=[first]))
            self._write(self._chunks.delta(tool_calls=[rest]))

    def _tell(self) -> None:
        """The usage so far, in the middle of an answer."""
        self._told = self._counted()
        self._write(self._chunks.usage(self._told))

    def _write(self, piece: bytes) -> None:
        if not self._streams:
            return
        if not self._answering.begun:
            self._generated = True
            self._answering.begin()
            self._answering.write(self._chunks.delta(role="assistant", content=""))
        self._answering.write(piece)

    async def _flush(self) -> None:
        self._write(b"")
        await self._answering.flush()

    # --- Ends -------------------------------------------------------------------------------

    async def _refuse(self, rest: str) -> None:
        status, type_, message = rest.split(" ", 2)
        headers: dict[str, str] = {}
        if message.startswith("retry-after="):
            wait, _, message = message.removeprefix("retry-after=").partition(" ")
            headers = {"Retry_After": wait, "X_Retry_After": wait, "Msh_Cooldown_Seconds": wait}
        document = replies.error(type_, message, self._echo)
        if self._answering.begun:
            self._write(replies.frame(document))
            await self._answering.end()
        else:
            await self._answering.json(int(status), document, **headers)

    async def _finish(self) -> None:
        self._generated = True
        usage = self._counted()
        if not self._streams:
            self._told = usage
            document = replies.completion(
                self._model,
                text="".join(self._text),
                thought="".join(self._thought),
                calls=self._calls,
                reason=self._reason,
                usage=usage,
            )
            await self._answering.json(200, document)
            return
        self._write(b"")
        if self._reason != "none":
            self._told = usage
            self._write(self._chunks.finish(self._reason, usage))
            if _wants_usage(self._body):
                self._write(self._chunks.usage(usage))
            if self._says_done:
                self._write(b"data: [DONE]\n\n")
        await self._answering.end()

    async def _replay(self, file: str) -> None:
        """A recorded reply, byte for byte, split and ended as it was."""
        if self._fixtures is None:
            raise BadScript(f"replay: {file} (no folder of recordings was given)")
        entries: list[dict[str, Any]] = _document(self._fixtures / "index.json")["fixtures"]
        entry = next((entry for entry in entries if entry["file"] == file), None)
        if entry is None:
            raise BadScript(f"replay: {file}")
        body = (self._fixtures / file).read_bytes()
        sidecar = entry.get("sidecar")
        how = _document(self._fixtures / sidecar) if sidecar else {}
        splits: list[int] = how.get("split_offsets", [])
        self._answering.begin(entry["http_status"], entry["headers"])
        for start, end in pairwise([0, *splits, len(body)]):
            self._answering.write(body[start:end])
            await self._answering.flush()
            await asyncio.sleep(0.002)  # so that each piece is read by itself
        if how.get("end") == "rst":
            await self._stop("cut")
            raise Ended("cut")
        await self._answering.end()


def _document(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and cast(dict[str, Any], options).get("include_usage") is True
