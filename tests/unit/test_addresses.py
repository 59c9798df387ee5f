"""What may be added as an address: the public internet, written plainly, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.addresses import BadAddress, normal_form, public


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "104.18.6.192", "172.15.0.1", "172.32.0.1", "2606:4700::6812:6c0", "2a00::1"],
)
def test_the_public_internet_may_be_gone_to(address: str) -> None:
    assert public(address) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "this machine"),
        ("0.1.2.3", "this machine"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier"),
        ("100.100.100.200", "carrier"),  # Alibaba's metadata
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),  # of containers at Amazon
        ("168.63.129.16", "cloud"),  # Azure's
        ("192.0.0.192", "special"),  # Oracle's metadata
        ("198.18.0.1", "benchmarks"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "future"),
        ("::1", "loopback"),
        ("::", "IPv4"),
        ("::ffff:127.0.0.1", "IPv4"),
        ("::ffff:8.8.8.8", "IPv4"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:7f00:1::", "special"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),  # Amazon's metadata
        ("fe80::1", "link"),
        ("fe80::1%eth0", "link"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("4000::1", "nobody"),
        ("0x7f.1", "no IP address"),
        ("2130706433", "no IP address"),
        ("", "no IP address"),
    ],
)
def test_what_is_not_public_says_what_it_is(address: str, why: str) -> None:
    assert why in (public(address) or "")


@given(st.ip_addresses())
def test_nothing_that_python_knows_to_be_private_is_taken_for_public(address: object) -> None:
    if public(str(address)) is None:
        known = ip_address(str(address))
        assert known.is_global
        assert not known.is_multicast


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("https://llm.acme.example/v1", "https://llm.acme.example/v1"),
        ("https://LLM.Acme.Example./v1/", "https://llm.acme.example/v1"),
        ("https://llm.acme.example:443", "https://llm.acme.example"),
        ("https://llm.acme.example:/v1", "https://llm.acme.example/v1"),
        ("HTTPS://xn--bcher-kva.example/openai/v1", "https://xn--bcher-kva.example/openai/v1"),
        ("https://9.9.9.9/v1", "https://9.9.9.9/v1"),
        ("https://[2606:4700:0:0::1]/v1", "https://[2606:4700::1]/v1"),
    ],
)
def test_an_address_has_one_form(told: str, meant: str) -> None:
    assert normal_form(told) == meant
    assert normal_form(meant) == meant


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://169.254.169.254/", "must be https"),
        ("https://169.254.169.254/", "metadata"),
        ("http://[::ffff:127.0.0.1]/", "must be https"),
        ("https://[::ffff:127.0.0.1]/", "disguise"),
        ("https://[::ffff:7f00:1]/", "disguise"),
        ("https://[::1]/v1", "loopback"),
        ("https://[fe80::1%25eth0]/", "character"),
        ("https://0x7f.1/", "another address than it seems"),
        ("https://0x7f000001/", "another address than it seems"),
        ("https://2130706433/", "another address than it seems"),
        ("https://127.1/", "another address than it seems"),
        ("https://0177.0.0.1/", "another address than it seems"),
        ("https://127.0.0.1./", "loopback"),
        ("https://10.0.0.5/v1", "private network"),
        ("https://user:pw@api.moonshot.ai/", "name or password"),
        ("https://api.moonshot.ai@evil.example/", "name or password"),
        ("file:///etc/passwd", "must be https"),
        ("gopher://evil.example/", "must be https"),
        ("//evil.example/v1", "must be https"),
        ("llm.acme.example/v1", "must be https"),
        ("https://api.moonshot.ai.evil.tld", "looks like api.moonshot.ai"),
        ("https://api.moonshot.ai#@evil", "fragment"),
        ("https://llm.acme.example/v1?key=1", "query"),
        ("https://llm.acme.example:22/", "Port 22"),
        ("https://llm.acme.example:8443/", "Port 8443"),
        ("https://llm.acme.example:0/", "Port 0"),
        ("https://llm.acme.example:65536/", "1 to 65535"),
        ("https://llm.acme.example:x/", "1 to 65535"),
        ("https://аpi.moonshot.ai/v1", "not ASCII"),  # a Cyrillic а
        ("https://llm。acme.example/", "not ASCII"),
        ("https://localhost/v1", "private network"),
        ("https://api.localhost/v1", "private network"),
        ("https://intranet/v1", "private network"),
        ("https://metadata.google.internal/", "private network"),
        ("https://printer.local/", "private network"),
        ("https://a_b.example/", "not the name of a host"),
        ("https://-a.example/", "not the name of a host"),
        ("https://a..example/", "not the name of a host"),
        ("https:///v1", "names no host"),
        ("https://", "names no host"),
        ("", "must be https"),
        ("https://[::1", "cannot be read"),
        ("https://llm.acme.example/a b", "character"),
        ("https://llm.acme.example/\r\nX: y", "character"),
        ("https://llm.acme.example\\@evil.example/", "character"),
        ("https://llm.acme.example/%2e%2e/", "character"),
        ("https://llm.acme.example/v1/../admin", "not a plain one"),
        ("https://llm.acme.example//v1", "not a plain one"),
        ("https://llm.acme.example/v1/chat/completions", "one operation"),
        ("https://llm.acme.example/" + "a" * 300, "longer than"),
    ],
)
def test_every_other_address_is_refused_by_the_rule_that_it_breaks(url: str, rule: str) -> None:
    with pytest.raises(BadAddress) as refused:
        normal_form(url)
    assert rule in str(refused.value)
    assert refused.value.next_step


def test_a_lookalike_is_shown_as_what_it_is() -> None:
    with pytest.raises(BadAddress) as refused:
        normal_form("https://аpi.moonshot.ai/v1")
    assert "https://xn--pi-6kc.moonshot.ai" in refused.value.next_step


def test_the_operator_may_list_another_port() -> None:
    assert normal_form("https://a.example:8443/v1", {443, 8443}) == "https://a.example:8443/v1"


_HOSTS = st.one_of(
    st.integers(0, 2**32 - 1).map(str),
    st.integers(0, 2**32 - 1).map(hex),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.text("0123456789abcdefx.:[]%@-", max_size=20),
)


@given(_HOSTS, st.sampled_from(["", "/", "/v1", ":443/v1", "#", "?", "@evil.example"]))
def test_whatever_is_accepted_is_a_name_or_a_public_address(host: str, rest: str) -> None:
    try:
        accepted = normal_form(f"https://{host}{rest}")
    except BadAddress:
        return
    parts = urlsplit(accepted)
    assert parts.scheme == "https"
    assert parts.hostname
    assert not parts.username
    if parts.hostname.replace(".", "").isdigit():
        assert public(str(IPv4Address(parts.hostname))) is None
    elif ":" in parts.hostname:
        assert public(parts.hostname) is None


@given(st.sampled_from(["", "https://", "https://["]), st.text(max_size=60))
def test_no_text_breaks_the_check(beginning: str, text: str) -> None:
    with suppress(BadAddress):
        assert normal_form(beginning + text).startswith("https://")
