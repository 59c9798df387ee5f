"""The OpenMP runtime that llama.cpp is built on, for machines that come without one.

A minimal Debian has no libgomp, and llama.cpp's wheel brings none. The wheel of pykdtree does, so
it is installed for that one file (requirements/model.in); its own code is never imported.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

_NAME = "libgomp.so.1"
_LENT = "PARLEY_OPENMP_LENT"
"""The folder in which a runtime was lent; also says that lending has been tried."""


def start_again_with_a_runtime(module: str) -> None:
    """Become `python -m module` once more, with the wheel's runtime in sight.

    Returns where that cannot help: it was tried before, or there is no such file. The search
    path of libraries is read once, when a process begins; hence the new beginning.
    """
    runtime = _runtime()
    if _LENT in os.environ or runtime is None:
        return
    folder = Path(tempfile.mkdtemp(prefix="parley-openmp-"))
    (folder / _NAME).symlink_to(runtime)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]))
    os.execve(  # noqa: S606 - ourselves again
        sys.executable,
        [sys.executable, "-m", module, *sys.argv[1:]],
        {**os.environ, "LD_LIBRARY_PATH": path, _LENT: str(folder)},
    )


def tidy_up() -> None:
    """A loaded runtime needs its file's name no longer."""
    folder = os.environ.get(_LENT)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _runtime() -> Path | None:
    try:
        files = metadata.files("pykdtree") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name.startswith("libgomp"):
            return Path(str(file.locate())).resolve()
    return None
