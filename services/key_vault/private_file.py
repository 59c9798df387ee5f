"""Small files that only we may read, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_OURS_ONLY = 0o600


def write_once(path: Path, text: str) -> bool:
    """Write the file unless it exists; False if it did. Of several writers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = _draft(path, text)
    try:
        # A link fails if the name is taken, so nobody ever reads half a file or loses a whole one.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _keep_names(path.parent)
    return True


def write_over(path: Path, text: str) -> None:
    """Put another text in its place, in one step: whoever reads it has the one or the other."""
    draft = _draft(path, text)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    _keep_names(path.parent)


def read_private(path: Path) -> str:
    """What is in the file, without the spaces and newlines around it."""
    return path.read_text().strip()


def _draft(path: Path, text: str) -> Path:
    """A file beside it with this text, on the disk for good."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ONLY)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _keep_names(folder: Path) -> None:
    """A new name is on the disk for good only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
