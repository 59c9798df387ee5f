"""The personas that Parley brings along: one Markdown file each, its head saying who it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from contracts.ids import token
from contracts.personas import Description
from services.persona.aggregate import Seed


class UnreadablePersona(ValueError):
    """The file must begin with `---`, lines of `name: value`, `---`, and then the prompt."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{file}: {problem}. {self.__doc__}")


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A persona as its file has it."""

    slug: str
    description: Description

    def seed(self, workspace: str) -> Seed:
        return Seed(workspace, self.slug, self.description)


@cache
def built_ins() -> tuple[BuiltIn, ...]:
    """All of them, in the order of their slugs."""
    files = sorted(
        (file for file in resources.files(__name__).iterdir() if file.name.endswith(".md")),
        key=lambda file: file.name,
    )
    return tuple(read(file.name, file.read_text("utf-8")) for file in files)


def read(file: str, text: str) -> BuiltIn:
    """The persona in one file."""
    before, fence, rest = text.partition("---\n")
    head, end, prompt = rest.partition("\n---\n")
    if before or not fence or not end:
        raise UnreadablePersona(file, "the head is missing or has no end")
    fields: dict[str, str] = {}
    for line in head.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise UnreadablePersona(file, f"{line!r} is not `name: value`")
        fields[name.strip()] = value.strip().strip('"')
    missing = {"name", "slug", "title"} - fields.keys()
    if missing or not prompt.strip():
        raise UnreadablePersona(file, f"it lacks {', '.join(sorted(missing)) or 'a prompt'}")
    return BuiltIn(
        token(fields["slug"]),
        Description(
            name=fields["name"],
            title=fields["title"],
            prompt=prompt.strip(),
            model=fields.get("model", ""),
            color=fields.get("color", ""),
        ),
    )
