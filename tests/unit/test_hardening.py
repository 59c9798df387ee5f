"""A process that holds secrets leaves none behind in a core file, and lets nobody look in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import ctypes, resource
from shared.hardening import harden
harden()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_no_core_file_and_no_peeking() -> None:
    said = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "(0, 0) 0\n"
