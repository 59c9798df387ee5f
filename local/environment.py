"""What a service is told by its environment: what it needs, and never a provider's key.

The launcher takes the keys out of its own environment and hands them to key_vault once.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Mapping, MutableMapping

from contracts.endpoints import SETTINGS, names, variable
from contracts.providers import PROVIDERS

_OF_THE_MACHINE = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
)  # fmt: skip
_OF_THE_LAUNCHER = {
    "PARLEY_DATABASE_URL",  # the administrator's; each service gets its own
    "PARLEY_NATS_URL",
    "PARLEY_NATS_SEED_FILE",
    "PARLEY_NATS_PORT",
    "PARLEY_HOME",
    "PARLEY_HOST",
    "PARLEY_PORT",
    "PARLEY_LOCAL_MODEL",
    "PARLEY_METRICS_PORT",  # five processes cannot share one
    "PARLEY_TOKEN",  # of `parley ask`
    "PARLEY_URL",
    "PARLEY_KEK",  # handed over, see take_keks
    "PARLEY_KEK_FORMER",
}


def take_keys(environment: MutableMapping[str, str]) -> dict[str, str]:
    """The providers' keys, by provider, taken out of the environment."""
    variables = {name: variable(name, "API_KEY") for name in (*PROVIDERS, *names(environment))}
    if environment is os.environ:
        _blank(variables.values())
    found = {name: environment.pop(each, "").strip() for name, each in variables.items()}
    return {name: key for name, key in found.items() if key}


def _blank(variables: Iterable[str]) -> None:
    """Overwrite the values where the kernel looks: /proc/<pid>/environ, and so `ps e`, shows what a
    process was started with, however often a variable is unset since (proc_pid_environ(5)).
    """
    if sys.platform != "linux":
        return
    starts = tuple(f"{variable}=".encode() for variable in variables)
    entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    at = 0
    while (place := entries[at]) is not None:
        text = ctypes.string_at(place)
        if text.startswith(starts):
            start = text.index(b"=") + 1
            ctypes.memset(place + start, 0, len(text) - start)
        at += 1


def take_keks(environment: MutableMapping[str, str]) -> dict[str, str]:
    """The vault's key-encryption keys, taken out of the environment, as the vault is told them."""
    if environment is os.environ:
        _blank(_KEKS.values())
    return {told: environment.pop(name, "").strip() for told, name in _KEKS.items()}


_KEKS = {"kek": "PARLEY_KEK", "kek_former": "PARLEY_KEK_FORMER"}


def for_services(environment: Mapping[str, str]) -> dict[str, str]:
    """What all services get: nothing by default, then what is known to be needed."""
    ours = {
        name for name in environment if name.startswith("PARLEY_") and name not in _OF_THE_LAUNCHER
    }
    providers = {variable(name, "LIMITS") for name in PROVIDERS} | {
        region.env for row in PROVIDERS.values() for region in row.regions
    }
    own = {variable(name, what) for name in names(environment) for what in SETTINGS}
    wanted = {*_OF_THE_MACHINE, *ours, *providers, *own}
    kept = {name: environment[name] for name in sorted(wanted) if name in environment}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def without_password(dsn: str) -> str:
    """The address as it may be shown."""
    scheme, _, rest = dsn.partition("://")
    who_and_where, slash, what = rest.partition("/")
    return f"{scheme}://{who_and_where.rpartition('@')[2]}{slash}{what}"
