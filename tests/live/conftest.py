"""A true service, as far as somebody has asked for it and given a key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contracts.attempts import Message, Parameters, RunAttempt
from contracts.providers import PROVIDERS, Provider, Region
from services.provider_adapter.dialects import SPEECHES, Speech
from services.provider_adapter.session import lower_names, open_session
from tests.live.recording import Recorder
from tests.recorded import LIVE

WITHIN = 180.0
"""Seconds for one answer."""


@dataclass(frozen=True)
class Reply:
    """All that came back to one request."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass
class Service:
    """The provider, and the one way in which the tests speak to it: a request at a time."""

    row: Provider
    region: Region
    endpoint: str
    secret: str = field(repr=False)
    recorder: Recorder
    pause: float
    wanted: str = ""
    """The model to ask; empty: the row's first that is on the list."""
    _asked: bool = False

    @property
    def speech(self) -> Speech:
        return SPEECHES[self.row.dialect]

    @property
    def catalog_path(self) -> str:
        return self.row.catalog_path or self.speech.catalog_path

    async def get(self, path: str, secret: str | None = None) -> Reply:
        return await self._request("GET", path, {"Accept": "application/json"}, None, secret)

    async def ask(self, prompt: str, *, model: str, most: int = 0, **wishes: Any) -> Reply:
        """One question, through the dialect; `most`: tokens of the answer."""
        known = self.row.model(model)
        thinks = known is not None and known.thinks
        now = datetime.now(UTC)
        request = RunAttempt(
            workspace="live",
            discussion="live",
            turn="live",
            attempt="live",
            provider=self.row.name,
            endpoint=self.endpoint,
            model=model,
            key=None,
            messages=[Message(role="user", content=prompt)],
            parameters=Parameters(
                max_completion_tokens=most or (8_192 if thinks else 1_024), **wishes
            ),
            expires_at=now + timedelta(minutes=1),
            deadline=now + timedelta(minutes=5),
            thinks=thinks,
        )
        path, headers, body = self.speech.to_wire(request, self.row)
        return await self._request("POST", path, headers, body, None)

    async def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        secret: str | None,
    ) -> Reply:
        if self._asked:
            await asyncio.sleep(self.pause)  # small accounts may ask three times a minute
        self._asked = True
        secret = self.secret if secret is None else secret
        key = self.speech.credentials(secret) if secret else {}
        async with (
            open_session() as session,
            session.request(
                method,
                self.endpoint + path,
                data=body,
                headers=headers | key,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=WITHIN),
            ) as response,
        ):
            read = await response.read()
            return Reply(method, path, response.status, lower_names(response), read)


@pytest.fixture(scope="session")
def service() -> Service:
    """Skips unless `make test/live PROVIDER=…` has named one."""
    name = os.environ.get("PARLEY_LIVE", "")
    if not name:
        pytest.skip("speaks to a true service: make test/live PROVIDER=kimi, with its key set")
    if name not in PROVIDERS:
        pytest.fail(f"There is no provider {name!r}; there are {', '.join(PROVIDERS)}.")
    row = PROVIDERS[name]
    region = row.region(os.environ.get("PARLEY_LIVE_REGION") or None)
    secret = os.environ.get(f"{name.upper()}_API_KEY", "").strip()
    endpoint = (os.environ.get(region.env) or region.base_url).strip().rstrip("/")
    if row.needs_key and not secret:
        pytest.fail(f"Set {name.upper()}_API_KEY to a key of {row.title}.")
    if not endpoint:
        pytest.fail(f"Set {region.env} to its address.")
    folder = Path(os.environ.get("PARLEY_LIVE_FOLDER") or LIVE)
    return Service(
        row=row,
        region=region,
        endpoint=endpoint,
        secret=secret,
        recorder=Recorder(folder, row, secret),
        pause=float(os.environ.get("PARLEY_LIVE_PAUSE") or 1),
        wanted=os.environ.get("PARLEY_LIVE_MODEL", ""),
    )
