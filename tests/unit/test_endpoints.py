"""Endpoints beside the built-in providers: their names, the operator's and the workspace's own."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from contracts.attempts import LiveModel
from contracts.endpoints import (
    BadEndpoint,
    CustomProvider,
    NameTaken,
    check_name,
    configured,
    directory,
    ports,
    row_of,
    variable,
)
from contracts.keys import EndpointChanged
from contracts.providers import KIMI, PROVIDERS, Dialect, Limits
from services.discussion import catalog
from services.discussion.catalog import Catalog
from services.key_vault import addressbook, endpoints
from services.key_vault.aggregate import Active, Disabled, KeyRing, Quarantined, Record, Strand
from services.key_vault.aggregate import decide as decide_ring
from services.key_vault.endpoints import (
    MOST,
    Add,
    AlreadyThere,
    Change,
    Command,
    Endpoints,
    NoSuchEndpoint,
    Remove,
    TooMany,
    decide,
    evolve,
)
from tests.spec import Specification

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACME = CustomProvider(name="acme", base_url="https://llm.acme.example/v1", title="Acme")
MOVED = CustomProvider(name="acme", base_url="https://new.acme.example/v1", title="Acme")


# --- Names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ab", "acme", "my-lab", "a1", "a" * 31])
def test_a_good_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "a", "A", "Acme", "1a", "-a", "my_lab", "a.b", "a b", "a/b", "a\n", "é1", "a" * 32]
)
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(BadEndpoint, match="A name is a letter"):
        check_name(name)


@pytest.mark.parametrize("name", [*PROVIDERS, "persona", "panel", "kimi-cn", "kimi-code"])
def test_a_name_that_means_something_already_is_taken(name: str) -> None:
    with pytest.raises(NameTaken):
        check_name(name)


def test_in_a_variable_a_dash_is_an_underscore() -> None:
    assert variable("my-lab", "BASE_URL") == "MY_LAB_BASE_URL"


# --- The operator's -------------------------------------------------------------------------


def test_the_operator_may_name_any_address() -> None:
    found = configured(
        {
            "PARLEY_ENDPOINTS": " acme, my-lab ,",
            "ACME_BASE_URL": "https://llm.acme.example/v1/",
            "ACME_TITLE": "Acme",
            "MY_LAB_BASE_URL": "http://10.0.0.5:8000/v1",
            "MY_LAB_NEEDS_KEY": "no",
            "MY_LAB_DIALECT": "ollama",
        }
    )
    assert found["acme"] == ACME
    lab = found["my-lab"]
    assert (lab.base_url, lab.needs_key, lab.dialect) == (
        "http://10.0.0.5:8000/v1",
        False,
        Dialect.OLLAMA,
    )


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"PARLEY_ENDPOINTS": "acme"}, "ACME_BASE_URL must be an http.* is not set"),
        ({"PARLEY_ENDPOINTS": "acme", "ACME_BASE_URL": "ftp://x"}, "ACME_BASE_URL must be"),
        ({"PARLEY_ENDPOINTS": "acme", "ACME_BASE_URL": "http://u:p@x"}, "ACME_BASE_URL must be"),
        ({"PARLEY_ENDPOINTS": "acme", "ACME_BASE_URL": "http://x:99999"}, "ACME_BASE_URL must be"),
        ({"PARLEY_ENDPOINTS": "Acme"}, "PARLEY_ENDPOINTS: A name is"),
        ({"PARLEY_ENDPOINTS": "kimi"}, "PARLEY_ENDPOINTS: kimi is Kimi"),
        (
            {"PARLEY_ENDPOINTS": "acme", "ACME_BASE_URL": "http://x", "ACME_DIALECT": "latin"},
            "ACME_DIALECT must be one of openai_chat",
        ),
    ],
)
def test_a_wrong_setting_is_named(told: dict[str, str], why: str) -> None:
    with pytest.raises(BadEndpoint, match=why):
        configured(told)


def test_ports_are_listed_by_the_operator_only() -> None:
    assert ports({}) == {443}
    assert ports({"PARLEY_ENDPOINT_PORTS": "8443, 9443"}) == {443, 8443, 9443}
    with pytest.raises(BadEndpoint):
        ports({"PARLEY_ENDPOINT_PORTS": "https"})


def test_built_in_goes_before_the_operators_and_that_before_the_workspaces() -> None:
    told = {"PARLEY_ENDPOINTS": "acme", "ACME_BASE_URL": "http://127.0.0.1:9/v1"}
    there = directory([ACME, CustomProvider(name="kimi", base_url="https://evil.example")], told)

    assert there.rows["kimi"] is KIMI
    assert "kimi" not in there.custom
    assert there.custom["acme"].base_url == "http://127.0.0.1:9/v1"
    assert there.rows["acme"].regions[0].env == "ACME_BASE_URL"
    # The environment of a service says nothing of what the operator has not named.
    assert directory([ACME], {"ACME_BASE_URL": "http://x"}).rows["acme"].regions[0].env == ""


# --- The workspace's own --------------------------------------------------------------------

book: Specification[Command, Endpoints, EndpointChanged] = Specification(
    partial(decide, now=NOW), evolve, Endpoints("default")
)


def told(row: CustomProvider) -> EndpointChanged:
    return EndpointChanged(
        at=NOW, workspace="default", provider=row.name, endpoint=row.base_url, row=row
    )


GONE = EndpointChanged(
    at=NOW, workspace="default", provider="acme", endpoint=ACME.base_url, removed=True
)


def test_an_endpoint_is_added() -> None:
    book.given().when(Add(endpoint=ACME)).then(told(ACME))


def test_a_name_is_taken_once() -> None:
    book.given(told(ACME)).when(Add(endpoint=MOVED)).then_rejected(
        AlreadyThere, name="acme", base_url=ACME.base_url
    )


def test_an_endpoint_is_changed_and_nothing_happens_if_it_is_so() -> None:
    book.given(told(ACME)).when(Change(endpoint=MOVED)).then(told(MOVED))
    book.given(told(ACME)).when(Change(endpoint=ACME)).then_nothing()


def test_what_was_removed_can_be_added_again() -> None:
    book.given(told(ACME)).when(Remove(name="acme")).then(GONE)
    book.given(told(ACME), GONE).when(Add(endpoint=MOVED)).then(told(MOVED))
    book.given(told(ACME), GONE).when(Remove(name="acme")).then_rejected(NoSuchEndpoint)
    book.given().when(Change(endpoint=ACME)).then_rejected(NoSuchEndpoint, name="acme")


def test_there_is_an_end_to_it() -> None:
    many = [
        told(CustomProvider(name=f"acme-{n}", base_url="https://a.example")) for n in range(MOST)
    ]
    book.given(*many).when(Add(endpoint=ACME)).then_rejected(TooMany)


def test_the_first_form_of_the_fact_told_the_address_only() -> None:
    old = EndpointChanged(
        at=NOW, workspace="default", provider="acme", endpoint="https://a.example"
    )
    assert endpoints.row_in(old) == CustomProvider(name="acme", base_url="https://a.example")


# --- As a row -------------------------------------------------------------------------------


def test_an_endpoint_is_a_row_like_any_other() -> None:
    row = row_of(CustomProvider(name="acme", base_url="https://a.example", limits={"rpm": 5}))
    assert row.title == "acme"
    assert row.limits == Limits(rpm=5)
    assert row.token_limit_field == "max_tokens"
    assert row.region(None).base_url == "https://a.example"


def test_its_models_are_chosen_and_listed_like_any_others() -> None:
    rows = {**PROVIDERS, "acme": row_of(ACME)}
    seen = Catalog(
        provider="acme",
        endpoint=ACME.base_url,
        models=(LiveModel(id="big"),),
        refreshed_at=NOW,
        key="k1",
        activated_at=NOW,
    )
    assert catalog.resolve("acme/big", "", [seen], rows) == "acme/big"
    assert catalog.default([seen], rows) == "acme/big"
    assert "acme/big" in {view.id for view in catalog.listing([seen], rows)}
    # Its endpoint was removed: nobody is led to it.
    assert "acme/big" not in {view.id for view in catalog.listing([seen])}


# --- Its keys -------------------------------------------------------------------------------


def test_a_key_is_left_behind_when_its_endpoint_moves_or_goes() -> None:
    here = directory([ACME], {})
    assert addressbook.stranded("acme", ACME.base_url, here) is None
    moved = addressbook.stranded("acme", ACME.base_url, directory([MOVED], {}))
    assert moved is not None
    assert "does not follow to another address" in moved.reason
    assert "Rotate the key" in moved.next_step
    gone = addressbook.stranded("acme", ACME.base_url, directory([], {}))
    assert gone is not None
    assert "was removed" in gone.reason


def test_a_built_in_providers_key_may_be_at_any_address() -> None:
    assert addressbook.stranded("kimi", "http://127.0.0.1:9/v1", directory([], {})) is None


def test_a_key_that_is_left_behind_is_put_aside_once() -> None:
    record = Record(key="k1", version=1, endpoint=ACME.base_url, fingerprint="f")
    wish = Strand(key="k1", reason="It moved.", next_step="Rotate it.")
    (aside,) = decide_ring(wish, KeyRing("default", "acme", {"k1": Active(record)}), now=NOW)
    assert (type(aside).__name__, aside.endpoint) == ("KeyQuarantined", ACME.base_url)
    for settled in (Quarantined(record, "It moved."), Disabled(record)):
        assert not decide_ring(wish, KeyRing("default", "acme", {"k1": settled}), now=NOW)
