"""A process answers for itself: `/healthz` while it runs, `/metrics` for Prometheus.

Served by a thread of its own on a loopback port, so that it answers even when the event loop is
busy, and costs nothing when nobody asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

import prometheus_client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

TASKS = prometheus_client.Gauge("parley_tasks", "Tasks of the event loop that are not done")


def count_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From now on the metrics tell how many tasks this loop has: what is left behind adds up."""
    TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nobody needs a log line for each scrape."""


def serve(name: str, host: str, port: int) -> None:
    """Answer on `host:port` until the process ends; port 0 opens nothing."""
    if port == 0:
        return
    metrics = cast("WSGIApplication", prometheus_client.make_wsgi_app())  # pyright: ignore[reportUnknownMemberType] - typed as a bare Callable

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/healthz":
            start("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{name} runs\n".encode()]
        return metrics(environ, start)

    server = make_server(host, port, answer, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
