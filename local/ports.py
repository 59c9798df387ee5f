"""Ports of this machine: which are free, and which one we had before."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import cast

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return cast("int", probe.getsockname()[1])


def remembered_port(file: Path) -> int:
    """The port of the last time if it is still free, else a new one: who knew it finds it again."""
    try:
        port = int(file.read_text())
    except (OSError, ValueError):
        port = 0
    if not port or obstacle(LOOPBACK, port):
        port = free_port()
        file.write_text(f"{port}\n")
    return port


def obstacle(host: str, port: int) -> str:
    """Why a server could not listen there now; nothing if it could.

    A former connection that is still closing does not count.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OverflowError:
        return "there is no such port"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "another program listens there"
        return error.strerror or str(error)
    return ""
