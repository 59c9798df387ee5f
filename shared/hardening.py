"""Keep what is in this process's memory out of files and other processes' reach.

Without this, a crash writes every key that was in memory into a core file (observed). No core file
alone is not enough where the kernel pipes cores to a program, so the process is also marked as
not dumpable, which closes /proc/<pid>/mem and ptrace to others of the same user as well.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def harden() -> None:
    """No core files, no peeking. Called before the first secret is read."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the process could not be made undumpable")
