"""A service may have as many files open as the system allows, not as the shell began with."""

from __future__ import annotations

import subprocess
import sys

from local.home import CHECKOUT

ASK = """
import resource
from shared.service import allow_files
before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
allow_files()
print(before, resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
"""


def test_the_shells_limit_is_lifted_to_the_systems() -> None:
    said = subprocess.run(
        ["sh", "-c", f'ulimit -Sn 256; ulimit -Hn 512; exec "{sys.executable}" -c "$0"', ASK],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "256 True\n"
