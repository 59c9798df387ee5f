"""The workflows that Parley brings along: one YAML file each, named for its slug."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def built_ins() -> tuple[str, ...]:
    """Their texts, in the order of their slugs."""
    files = sorted(
        (file for file in resources.files(__name__).iterdir() if file.name.endswith(".yaml")),
        key=lambda file: file.name,
    )
    return tuple(file.read_text("utf-8") for file in files)
