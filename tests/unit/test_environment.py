from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.environment import for_services, take_keks, take_keys, without_password

TOLD = {
    "PATH": "/usr/bin",
    "KIMI_API_KEY": " sk-canary ",
    "OPENAI_API_KEY": "sk-other",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "KIMI_BASE_URL": "http://127.0.0.1:9/v1",
    "KIMI_CN_BASE_URL": "http://127.0.0.1:9/cn/v1",
    "KIMI_LIMITS": "rpm=3",
    "PARLEY_LOG_LEVEL": "debug",
    "PARLEY_KEK": " canary-of-the-vault\n",
    "PARLEY_DATABASE_URL": "postgresql://admin:secret@db/parley",
}


def test_a_key_is_taken_out_of_the_environment() -> None:
    environment = dict(TOLD)

    assert take_keys(environment) == {"kimi": "sk-canary", "openai": "sk-other"}
    assert "KIMI_API_KEY" not in environment


TAKE = """
import os, pathlib
from local.environment import take_keys
taken = take_keys(os.environ)
shown = pathlib.Path("/proc/self/environ").read_bytes()
print(taken, "KIMI_API_KEY" in os.environ, b"canary" in shown, b"KIMI_LIMITS=rpm=3" in shown)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_key_is_also_gone_from_what_a_process_list_shows() -> None:
    said = subprocess.run(
        [sys.executable, "-c", TAKE],
        cwd=Path(__file__).parents[2],
        env={"KIMI_API_KEY": "sk-canary", "KIMI_LIMITS": "rpm=3", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "{'kimi': 'sk-canary'} False False True\n"


def test_so_is_the_vaults_own() -> None:
    environment = dict(TOLD)

    assert take_keks(environment) == {"kek": "canary-of-the-vault", "kek_former": ""}
    assert "PARLEY_KEK" not in environment


def test_an_empty_key_is_none() -> None:
    assert take_keys({"KIMI_API_KEY": ""}) == {}


def test_services_are_told_what_they_need() -> None:
    told = for_services(TOLD)

    assert told["KIMI_BASE_URL"] == TOLD["KIMI_BASE_URL"]
    assert told["KIMI_CN_BASE_URL"] == TOLD["KIMI_CN_BASE_URL"]
    assert told["KIMI_LIMITS"] == "rpm=3"
    assert told["PARLEY_LOG_LEVEL"] == "debug"


def test_services_are_told_no_secret_of_anybody() -> None:
    told = str(for_services(TOLD))

    assert "canary" not in told
    assert "sk-other" not in told
    assert "secret" not in told


def test_an_address_is_shown_without_its_password() -> None:
    assert without_password("postgresql://a:b@host:5/db?x=y") == "postgresql://host:5/db?x=y"
    assert without_password("postgresql://a:b@/db?host=/s") == "postgresql:///db?host=/s"
