"""Run a piece of Python as a normal user who can reach nothing of root's, when we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from local.home import CHECKOUT

NAME = "nobody"


@contextmanager
def place(packages: Sequence[str]) -> Generator[Path]:
    """A folder of the user's with a copy of our rooms and of these installed packages in it."""
    user = pwd.getpwnam(NAME)
    folder = Path(tempfile.mkdtemp(prefix="parley-stranger-", dir="/tmp"))
    try:
        for room in ("contracts", "shared", "local"):
            shutil.copytree(CHECKOUT / room, folder / room)
        for package in packages:
            _copy_installed(package, folder)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        yield folder
    finally:
        shutil.rmtree(folder)


def interpreter() -> str | None:
    """A Python of our own version outside root's home: compiled packages fit no other."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return next(
        (
            str(path)
            for path in (Path("/usr/bin", name), Path("/usr/local/bin", name))
            if path.exists()
        ),
        None,
    )


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program text there, as the user, with the user's own environment."""
    python = interpreter()
    assert python is not None
    user = pwd.getpwnam(NAME)
    return subprocess.run(
        [python, "-B", "-c", program, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _copy_installed(package: str, folder: Path) -> None:
    for file in metadata.files(package) or []:
        source = Path(str(file.locate()))
        if ".." not in file.parts and source.exists():
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
