"""A program that we start, listen to and stop, and that never outlives us.

Each child is the leader of its own session, so that Ctrl-C in the terminal reaches only the
launcher, which then stops the children in order. On Linux the kernel tells a child when its
parent has died, however it died; so `kill -9` of the launcher leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)  # loaded before any fork
_TAIL = 40  # lines kept for the message of a child that died young

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Identity:
    """The user a child runs as, where that is not our own."""

    uid: int
    gid: int


class ChildDied(Exception):
    """A program ended that should be running; its last words are in the message."""

    def __init__(self, name: str, status: int, last_words: Sequence[str]) -> None:
        *before, last = last_words or ("it said nothing",)
        told = f"{name} {_ended(status)}: {last}"
        super().__init__(
            "\n  ".join([f"{told}\nBefore that it said:", *before] if before else [told])
        )
        self.name = name
        self.status = status
        self.last_words = tuple(last_words)


class Child:
    """One running program. Start it from the main thread: a parent's death is told per thread."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pid = process.pid
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._process = process
        self._reading: asyncio.Task[None] | None = None
        self._file: Path | None = None

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        identity: Identity | None = None,
        output: OnLine | Path,
        stdin: bytes = b"",
        on_parents_death: signal.Signals = signal.SIGKILL,
    ) -> Child:
        """Start it. `stdin` is given to it whole.

        What it prints goes to `output`: line by line to a function, which needs a running loop,
        or into a file, which needs nobody.
        """
        file = output.open("ab") if isinstance(output, Path) else None
        # Not asyncio's own: its children belong to one loop, and tests have many.
        process = subprocess.Popen(  # noqa: ASYNC220 - forking is quick
            [str(part) for part in argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if file is None else file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_tied_to(os.getpid(), on_parents_death),  # noqa: PLW1509 - see there
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=[] if identity else None,
        )
        child = cls(name, process)
        if isinstance(output, Path):
            child._file = output
        else:
            child._reading = await _follow(process, child.tail, output)
        if file is not None:
            file.close()
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin as pipe:  # it may have died already
                pipe.write(stdin)
        return child

    @property
    def status(self) -> int | None:
        """None while it runs; then its exit status, negative for a signal."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait until it has ended and everything it printed was read."""
        while self.status is None:
            await _exit_of(self.pid)
        if self._reading is not None:
            # A grandchild may still hold the pipe open, so the last words have a deadline.
            await asyncio.wait([self._reading], timeout=1)
        return self._process.returncode

    async def stop(
        self, *, ask: signal.Signals = signal.SIGTERM, grace: timedelta = timedelta(seconds=8)
    ) -> int:
        """Ask it to end, wait, and end it and its descendants by force when it does not."""
        if self.status is None:
            self._signal(ask)
            try:
                await asyncio.wait_for(self.wait(), grace.total_seconds())
            except TimeoutError:
                self.kill()
        status = await self.wait()
        self.kill()  # whatever it left behind in its session
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        return status

    def kill(self) -> None:
        """End it and everything in its process group at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def died(self) -> ChildDied:
        """What to raise once it has ended although it should not."""
        if self._file is not None:
            written = self._file.read_bytes()[-10_000:].decode(errors="replace")
            self.tail.extend(written.splitlines())
        return ChildDied(self.name, self._process.returncode, self.tail)

    def _signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


def _tied_to(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a new child does before it becomes its program: ask to be told of our death.

    It runs between fork and exec, so it only makes two system calls. It runs after the change of
    user, which would have cleared the request (prctl(2), PR_SET_PDEATHSIG).
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = _LIBC.prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return tie


async def _follow(
    process: subprocess.Popen[bytes], tail: deque[str], on_line: OnLine
) -> asyncio.Task[None]:
    reader = asyncio.StreamReader(limit=1 << 20)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), process.stdout
    )

    async def read() -> None:
        try:
            while line := await _next_line(reader):
                text = line.decode(errors="replace").rstrip()
                tail.append(text)
                on_line(text)
        finally:
            transport.close()

    return asyncio.create_task(read(), name=f"output of {process.pid}")


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as too_long:
        return await reader.readexactly(too_long.consumed)


async def _exit_of(pid: int) -> None:
    """Return when the process may have ended; at once if there is no way to be told."""
    if not hasattr(os, "pidfd_open"):  # not Linux
        await asyncio.sleep(0.05)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # an old kernel, or a sandbox that does not know it
        await asyncio.sleep(0.05)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
