"""`make test/live`, built and tried without a network: the true service is a scripted one."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.providers import PROVIDERS
from local.home import CHECKOUT
from local.scripted.server import ScriptedProvider
from shared.redaction import REDACTED
from tests.live.recording import NotClean, Recorder, cleaned, cleaned_headers
from tests.meaning import hear, means_what_is_expected
from tests.recorded import recordings

KEY = "sk-live0123456789abcdefghijklmnopqrstuvwxyz"
ACCOUNT = "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3>"

SCRIPT = f"""\
think: The words, then. ; text: Hello, Parley.
---
tool: get_weather {{"city":"Oslo"}}
---
text: One, two, ; finish: length
---
error: 404 resource_not_found_error Not found the model of {ACCOUNT} or Permission denied
"""


async def live(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """What `make test/live` runs."""
    own = {name: value for name, value in os.environ.items() if "_API_KEY" not in name}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "pytest", "tests/live", "-q", "-p", "no:cacheprovider"],
        cwd=CHECKOUT,
        env={**own, "PARLEY_LIVE_FOLDER": str(folder), "PARLEY_LIVE_PAUSE": "0", **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_the_suite_runs_against_a_service_and_records_it_without_the_key(
    tmp_path: Path,
) -> None:
    async with ScriptedProvider(keys=[KEY], script=SCRIPT) as provider:
        ended = await live(
            tmp_path, PARLEY_LIVE="kimi", KIMI_API_KEY=KEY, KIMI_BASE_URL=provider.base_url
        )
        asked = [(asked.method, asked.path) for asked in provider.requests]

    # The scripted provider may have no balance to tell; the rest is as the true one's would be.
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]
    assert all("test_its_balance_is_read" in line for line in failed), ended.stdout + ended.stderr
    assert " passed" in ended.stdout
    assert asked.count(("POST", "/v1/chat/completions")) == 4
    assert len(asked) == 7  # each request once

    kept = {recorded.file: recorded for recorded in recordings(tmp_path)}
    assert set(kept) == {
        f"kimi/{name}"
        for name in (
            "models.json", "stream-text.sse", "stream-tool.sse", "stream-length.sse",
            "err-unknown-model.json", "err-bad-key.json",
        )
    }  # fmt: skip
    answer = kept["kimi/stream-text.sse"]
    assert answer.expect["text"] == "Hello, Parley."
    assert answer.expect["reasoning"] == "The words, then."
    for name in ("text", "tool", "length"):
        recorded = kept[f"kimi/stream-{name}.sse"]
        means_what_is_expected(hear([recorded.body], recorded.speech), recorded.expect)
    assert kept["kimi/err-unknown-model.json"].expect["error_class"] == "not_found"
    assert kept["kimi/err-bad-key.json"].expect["error_class"] == "auth"

    written = everything_in(tmp_path)
    for secret in (KEY, KEY[8:], "org-f4ce", "ak-f4k3", base64.b64encode(KEY.encode()).decode()):
        assert secret.encode() not in written
        assert secret not in ended.stdout + ended.stderr
    assert b"msh-request-id" not in written.lower()


async def test_it_is_off_unless_a_provider_is_named(tmp_path: Path) -> None:
    ended = await live(tmp_path)
    assert ended.returncode == 0
    assert "7 skipped" in ended.stdout
    assert everything_in(tmp_path) == b""


async def test_without_a_key_it_says_which_one_to_set(tmp_path: Path) -> None:
    ended = await live(tmp_path, PARLEY_LIVE="kimi")
    assert ended.returncode != 0
    assert "Set KIMI_API_KEY to a key of Kimi" in ended.stdout


# --- What is kept ---------------------------------------------------------------------------


def test_only_headers_that_a_client_reads_are_kept() -> None:
    told = {
        "content-type": "text/event-stream",
        "retry-after": "1",
        "x-ratelimit-limit-requests": "100",
        "msh-org-id": "org-f4cef4cef4cef4cef4cef4cef4cef4ce",
        "openai-organization": "acme-inc",
        "anthropic-organization-id": "8d1c",
        "set-cookie": "__cf_bm=secret",
        "msh-uid": "u1",
        "cf-ray": "1-OSL",
        "x-request-id": "req_1",
    }
    assert set(cleaned_headers(told, KEY)) == {
        "content-type",
        "retry-after",
        "x-ratelimit-limit-requests",
    }


@pytest.mark.parametrize(
    "told",
    [
        f'{{"error":"bad key {KEY}"}}',
        f'{{"hex":"{KEY.encode().hex()}"}}',
        f'{{"base64":"{base64.b64encode(KEY.encode()).decode()}"}}',
        '{"user_id":"user_2abcdefghijklmnopqrstuvwx"}',
        '{"organization": "acme-inc", "id": 7}',
        '{"id":"ft:gpt-4o:acme-inc::7p4lURel"}',
        '{"message":"Your account org-f4cef4cef4cef4cef4cef4cef4cef4ce is suspended"}',
    ],
)
def test_key_and_account_leave_the_body_and_the_json_stays_whole(told: str) -> None:
    kept = cleaned(told.encode(), KEY).decode()
    assert REDACTED in kept
    assert isinstance(json.loads(kept), dict)
    for secret in (KEY, KEY.encode().hex(), "user_2abc", "acme-inc", "org-f4ce"):
        assert secret not in kept


def test_frames_stay_as_they_were() -> None:
    stream = b'data: {"a":"\xf0\x9f\x8d\x9e"}\r\n\r\n: ping\n\ndata: [DONE]\n\n\xff'
    assert cleaned(stream, KEY) == stream


def test_what_is_not_clean_is_not_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, PROVIDERS["kimi"], KEY)
    with pytest.raises(NotClean):
        recorder.record(
            "x.json",
            method="GET",
            path=f"/models?key={KEY}",
            status=200,
            headers={},
            body=b"{}",
            expect={},
        )
    assert not list(tmp_path.iterdir())
