"""CPU seconds of a running system, by part, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def cpu(root: int) -> dict[str, float]:
    """Seconds of CPU that each part below process `root` has used so far, user and system."""
    used: dict[str, float] = {}
    for pid in _tree(root):
        name = _part(pid)
        used[name] = used.get(name, 0.0) + _seconds(pid)
    return used


def _tree(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting.extend(children.get(pid, []))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on (proc(5): state, ppid, …, utime is the 12th)."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _seconds(pid: int) -> float:
    fields = _stat(pid)
    # utime, stime, and those of children that have ended and were waited for
    return sum(map(int, fields[11:15])) / _TICKS if fields else 0.0


def _part(pid: int) -> str:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    for word in words:
        if word.startswith(b"services."):
            return word.decode().partition(".")[2]
    first = words[0].decode("utf-8", "replace")
    if "postgres" in first:
        return "postgres"
    if "nats-server" in first:
        return "nats-server"
    return "launcher"
