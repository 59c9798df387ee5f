"""The files of the web page, read once at start: their types are known, nothing else is served."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from contracts.failures import NotFound
from services.edge.call import Call

PAGES = Path(__file__).with_name("pages")

TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
"""Nothing from elsewhere and nothing inline: a model's text can never become a program."""


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    content: bytes
    type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, type: str) -> File:
        return cls(content, type, hashlib.sha256(content).hexdigest()[:32])


def load(folder: Path = PAGES) -> dict[str, File]:
    """Every file below `folder`, by its path there."""
    return {
        path.relative_to(folder).as_posix(): File.of(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in TYPES
    }


FILES = load()


async def index(call: Call) -> web.StreamResponse:
    """The web page."""
    return send(call.request, FILES.get("index.html"))


async def page_file(call: Call) -> web.StreamResponse:
    """A file of the web page."""
    return send(call.request, FILES.get(call.segments["path"]))


def send(request: web.BaseRequest, file: File | None) -> web.Response:
    """The file, or 304 for a reader that has it."""
    if file is None:
        raise NotFound("There is no such file.", next_step="The page is at /.")
    tag = f'"{file.etag}"'
    headers = {
        "Content-Type": file.type,
        "Content-Security-Policy": POLICY,
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    known = {
        part.strip().removeprefix("W/")
        for part in request.headers.get("If-None-Match", "").split(",")
    }
    if tag in known:
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.content, headers=headers)
