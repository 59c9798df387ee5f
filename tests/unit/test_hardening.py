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


CRASH = "ulimit -c unlimited; cd {folder}; exec {python} -c 'import os\n{before}\nos.abort()'"


def core_files(folder: Path, before: str) -> list[Path]:
    """What a program leaves that crashes where whoever started it wants core files."""
    folder.mkdir()
    subprocess.run(
        ["sh", "-c", CRASH.format(folder=folder, python=sys.executable, before=before)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return list(folder.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_crash_leaves_no_core_file(tmp_path: Path) -> None:
    if not core_files(tmp_path / "soft", "pass"):
        pytest.skip("this machine keeps no core files beside the program")
    assert core_files(tmp_path / "hard", "from shared.hardening import harden; harden()") == []
