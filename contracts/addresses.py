"""Which addresses an endpoint may have that somebody adds while Parley runs: public ones only.

An address is a wish to have requests sent somewhere, with a key. Written in a clever way, or by a
name that leads home, it would reach what only this machine can reach: its own services, its
network, the metadata of its cloud. So the text is checked when it is added, and each address that
the name stands for is checked again whenever a connection is made.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, urlsplit

from contracts.providers import PROVIDERS

LONGEST = 300
"""Characters of an address."""

HTTPS = frozenset({443})
"""Ports, unless the operator lists more: other services listen on the others."""

BY_OPERATOR = (
    "If it is meant so, whoever runs this Parley can have it, by PARLEY_ENDPOINTS=acme and "
    "ACME_BASE_URL in the environment: see docs/endpoints.md."
)


USUAL = "Give it as https://llm.example.com/v1."


class BadAddress(ValueError):
    """The address is not one that may be added; says which rule it breaks and what to do."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step or USUAL


# --- Numbers --------------------------------------------------------------------------------

# From the special-purpose address registries of IANA (RFC 6890), and what clouds use besides.
_NOT_PUBLIC_4 = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this machine"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a network behind a carrier's NAT"),
        ("127.0.0.0/8", "this machine (loopback)"),
        ("168.63.129.16/32", "a cloud's own service for its machines"),  # Azure
        ("169.254.0.0/16", "this machine's link, where clouds keep their metadata"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "a special purpose"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "a relay that was abandoned"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "many at once (multicast)"),
        ("240.0.0.0/4", "a future that never came"),
    )
)
_NOT_PUBLIC_6 = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::1/128", "this machine (loopback)"),
        ("::ffff:0:0/96", "an IPv4 address in disguise"),
        ("::/96", "an IPv4 address in disguise"),
        ("64:ff9b::/96", "an IPv4 address in disguise (NAT64)"),
        ("64:ff9b:1::/48", "an IPv4 address in disguise (NAT64)"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "this machine's link"),
        ("fec0::/10", "a private network"),
        ("ff00::/8", "many at once (multicast)"),
        # Of what is handed out for the public, 2000::/3, these are not.
        ("2001::/23", "a special purpose"),  # Teredo among others: IPv4 in disguise
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "an IPv4 address in disguise (6to4)"),
        ("3fff::/20", "documentation"),
    )
)
_HANDED_OUT_6 = IPv6Network("2000::/3")


def public(address: str) -> str | None:
    """What an IP address is there for, if that is not the public internet; None if it is."""
    try:
        four = IPv4Address(address)
    except AddressValueError:
        return _public_6(address)
    return next((why for network, why in _NOT_PUBLIC_4 if four in network), None)


def _public_6(address: str) -> str | None:
    try:
        six = IPv6Address(address)
    except AddressValueError:
        return "nothing: it is no IP address"
    if six.scope_id is not None:
        return "this machine's link"
    found = next((why for network, why in _NOT_PUBLIC_6 if six in network), None)
    return found or (None if six in _HANDED_OUT_6 else "nobody yet")


# --- Text -----------------------------------------------------------------------------------

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_AT_HOME = (
    "localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa",
)  # fmt: skip
"""Ends of names that mean something on one network only (RFC 6761, 6762, 8375; ICANN's .internal,
and those that it keeps free since so many use them)."""

_OPERATIONS = ("/chat/completions", "/completions", "/models", "/messages", "/embeddings")


def normal_form(url: str, ports: Collection[int] = HTTPS) -> str:
    """The address in its one form: `https://host[:port][/path]`. BadAddress says why not."""
    if len(url) > LONGEST:
        raise BadAddress(f"The address is longer than {LONGEST} characters.")
    _check_letters(url)
    parts = _split(url)
    if parts.scheme != "https":
        raise BadAddress(
            f"The address begins with {parts.scheme[:20] or 'no scheme'!r}; it must be https: "
            "otherwise anybody on the way could read the key.",
            f"Give it with https://. {BY_OPERATOR}",
        )
    if "@" in parts.netloc:
        raise BadAddress(
            "There is a name or password in the address, before an @.",
            "Leave it out: the key is added by itself, with POST /api/v1/keys.",
        )
    host = _host(parts)
    port = _port(parts, ports)
    return f"https://{host}{port}{_path(parts)}"


def _check_letters(url: str) -> None:
    if not url.isascii():
        raise BadAddress(
            "There are letters in the address that are not ASCII; some look like others.",
            f"Look at it in its plain form: {_plain(url)}. If that is what you mean, give that.",
        )
    if any(letter <= " " or letter in '\\<>"^`{|}%\x7f' for letter in url):
        raise BadAddress("There is a character in the address that none has, a space perhaps.")
    for sign, part in (("#", "fragment"), ("?", "query")):
        if sign in url:
            raise BadAddress(
                f"There is a {sign} in the address: an endpoint has no {part}.",
                f"Give the part before the {sign}, if that is the endpoint.",
            )


def _plain(url: str) -> str:
    """How resolvers see the name (IDNA), for a person to look at."""
    try:
        host = urlsplit(url).hostname or ""
        return "https://" + host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return "there is none, it is no name at all"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise BadAddress("The address cannot be read.") from error


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise BadAddress("The address names no host.")
    if parts.netloc.startswith("["):
        return f"[{_number(host, host)}]"
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            canonical = str(IPv4Address(host))
        except AddressValueError as error:
            raise BadAddress(
                f"{host[:60]} is a number that can be read as another address than it seems.",
                "Give a name, or the address as four decimal numbers.",
            ) from error
        return _number(canonical, host)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress(f"{host[:60]!r} is not the name of a host.")
    _check_name(host, labels)
    return host


def _number(address: str, target: str) -> str:
    if purpose := public(address):
        raise BadAddress(
            f"{target} is an address for {purpose}: requests go to the public internet only.",
            f"Give a public address. {BY_OPERATOR}",
        )
    return str(IPv6Address(address)) if ":" in address else address


def _check_name(name: str, labels: list[str]) -> None:
    if len(labels) == 1 or any(name == end or name.endswith(f".{end}") for end in _AT_HOME):
        raise BadAddress(
            f"{name[:80]} is a name of a private network: requests go to the public internet only.",
            f"Give a public name. {BY_OPERATOR}",
        )
    for vendor, title in _VENDORS.items():
        if name.startswith(f"{vendor}."):
            raise BadAddress(
                f"{name[:100]} looks like {vendor}, the address of {title}, and belongs to "
                "somebody else.",
                f"If you mean {title}, it is here already. {BY_OPERATOR}",
            )


_VENDORS = {
    host: row.title
    for row in PROVIDERS.values()
    for region in row.regions
    if (host := urlsplit(region.base_url).hostname)
}


def _port(parts: SplitResult, ports: Collection[int]) -> str:
    try:
        port = 443 if parts.port is None else parts.port
    except ValueError as error:
        raise BadAddress("The port is no number from 1 to 65535.") from error
    if port not in ports:
        listed = ", ".join(str(each) for each in sorted(ports))
        raise BadAddress(
            f"Port {port} is not one for endpoints; there is {listed}.",
            "Leave the port out, or ask the operator to list it in PARLEY_ENDPOINT_PORTS.",
        )
    return "" if port == 443 else f":{port}"


def _path(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise BadAddress("The path of the address is not a plain one.")
    for operation in _OPERATIONS:
        if path.endswith(operation):
            raise BadAddress(
                f"This is the address of one operation, {operation}.",
                f"Give what stands before it: {path.removesuffix(operation) or 'the host alone'}.",
            )
    return path
