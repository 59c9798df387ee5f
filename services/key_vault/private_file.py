"""Small files that only we may read, written whole or not at all, and never written over."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_OURS_ONLY = 0o600


def write_once(path: Path, text: str) -> bool:
    """Write the file unless it exists; False if it did. Of several writers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ONLY)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link fails if the name is taken, so nobody ever reads half a file or loses a whole one.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read_private(path: Path) -> str:
    """What is in the file, without the spaces and newlines around it."""
    return path.read_text().strip()
