"""Cookies that only we can make, and names that only we are called by."""

from __future__ import annotations

import hashlib

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from contracts.failures import Forbidden, Unauthenticated
from services.edge.problems import Misdirected
from services.edge.session import LASTS, Sessions, check_host, check_origin, host_name
from services.edge.turnstile import CONNECTS, Turnstile

HASH = hashlib.sha256(b"token").digest()


def asked(method: str = "GET", **headers: str) -> web.BaseRequest:
    return make_mocked_request(method, "/", {"Host": "127.0.0.1:8080", **headers})


def test_a_cookie_brings_back_what_it_was_made_of() -> None:
    sessions = Sessions(b"key")
    assert sessions.read(sessions.cookie_for(HASH)) == HASH


def test_a_cookie_of_another_key_or_altered_or_over_is_none() -> None:
    now = 1_000_000.0
    sessions = Sessions(b"key", clock=lambda: now)
    cookie = sessions.cookie_for(HASH)
    altered = ("A" if cookie[0] != "A" else "B") + cookie[1:]

    for wrong in (altered, cookie[:-4], "", "\u00e9", Sessions(b"other").cookie_for(HASH)):
        with pytest.raises(Unauthenticated):
            sessions.read(wrong)
    now += LASTS
    with pytest.raises(Unauthenticated):
        sessions.read(cookie)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:8080", "127.0.0.1"),
        ("LOCALHOST", "localhost"),
        ("[::1]:8080", "::1"),
        ("parley.example.org:443", "parley.example.org"),
        ("127.0.0.1@evil", None),
        ("a b", None),
        ("localhost.", None),
        ("localhost:x", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::1]", "edge:8080", "a.localhost", "mine.org"])
def test_addresses_plain_names_and_listed_names_are_ours(host: str) -> None:
    check_host(asked(Host=host), frozenset({"mine.org"}))


@pytest.mark.parametrize("host", ["evil.org", "mine.org.evil.org", "127.0.0.1.evil.org"])
def test_a_strangers_name_is_not_ours(host: str) -> None:
    with pytest.raises(Misdirected):
        check_host(asked(Host=host), frozenset({"mine.org"}))


def test_a_cookie_changes_something_only_from_our_own_page() -> None:
    check_origin(asked("POST", Origin="http://127.0.0.1:8080"), needed=True)
    check_origin(asked("POST", **{"Sec-Fetch-Site": "same-origin"}), needed=True)
    check_origin(asked("POST"), needed=False)
    for wrong in (
        {},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9090"},
        {"Origin": "http://127.0.0.1:8080.evil.org"},
        {"Origin": "http://evil-127.0.0.1:8080"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        with pytest.raises(Forbidden):
            check_origin(asked("POST", **wrong), needed=True)


def test_who_reconnects_without_pause_is_slowed_down() -> None:
    now = 0.0
    turnstile = Turnstile(clock=lambda: now)
    admitted = sum(turnstile.admits("token") for _ in range(10_000))
    assert admitted == 10 * CONNECTS
    assert turnstile.admits("another")
    now += 1
    assert sum(turnstile.admits("token") for _ in range(10_000)) == CONNECTS


def test_who_leaves_makes_room() -> None:
    turnstile = Turnstile()
    turnstile.enter("token")
    turnstile.leave("token")
    assert turnstile.admits("token")
