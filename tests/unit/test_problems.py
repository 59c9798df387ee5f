"""Every refusal leaves as problem+json with what to do next; nothing of ours leaks with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from contracts.failures import (
    Conflict,
    Failure,
    FailureClass,
    Forbidden,
    IdempotencyMismatch,
    Internal,
    Invalid,
    NotFound,
    Refused,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from services.edge import problems
from services.edge.openai_words import error_of, failure_of


def told(response: web.Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    assert response.content_type == "application/problem+json"
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (Invalid("no"), 422),
        (Unauthenticated("no"), 401),
        (Forbidden("no"), 403),
        (NotFound("no"), 404),
        (Conflict("no"), 409),
        (IdempotencyMismatch("no"), 422),
        (Unavailable("no"), 503),
        (Internal("no"), 500),
        (problems.MethodNotAllowed("no"), 405),
        (problems.TooSlow("no"), 408),
        (problems.TooLarge("no"), 413),
        (problems.UnsupportedType("no"), 415),
        (problems.HeadersTooLarge("no"), 431),
    ],
)
def test_each_refusal_has_its_status_and_a_stable_type(refused: Refused, status: int) -> None:
    response = problems.answer(refused)

    assert response.status == status
    assert told(response)["status"] == status
    assert told(response)["type"] == f"urn:parley:problem:{refused.slug}"
    assert told(response)["detail"] == "no"


def test_what_is_empty_is_left_out() -> None:
    assert set(told(problems.answer(Conflict("no")))) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize("refused", [Unauthenticated(), NotFound(), Unavailable()])
def test_what_always_helps_is_said_where_nothing_better_is_known(refused: Refused) -> None:
    assert told(problems.answer(refused))["next_step"]


def test_a_refusal_names_what_comes_near_and_what_to_do() -> None:
    refused = Invalid("Unknown.", slug="unknown-model", nearest=["kimi/k2"], next_step="Look.")

    said = told(problems.answer(refused))

    assert (said["nearest"], said["next_step"]) == (["kimi/k2"], "Look.")


def test_the_unexpected_is_an_incident_without_its_text() -> None:
    said = problems.refused_by(RuntimeError("the secret is sk-123"))

    assert said.problem.status == 500
    assert said.problem.incident
    assert "sk-123" not in json.dumps(problems.document(said.problem))


def test_a_silent_service_is_worth_a_later_try_and_an_unknown_outcome_says_so() -> None:
    away = problems.answer(problems.refused_by(Unreachable("parley.cmd.x")))
    late = problems.answer(problems.refused_by(TimedOut("parley.cmd.x")))

    assert (away.status, away.headers["Retry-After"]) == (503, "2")
    assert late.status == 504
    assert "parley.cmd" not in str(told(away)) + str(told(late))


def test_who_has_no_token_is_told_which_kind_is_wanted() -> None:
    assert "Bearer" in problems.answer(Unauthenticated()).headers["WWW-Authenticate"]


# --- The same in OpenAI's words ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "status", "code"),
    [
        (Invalid("?", slug="unknown-model", nearest=["kimi/k2"]), 404, "model_not_found"),
        (Invalid("?", slug="retired-model", next_step="Use b."), 404, "model_not_found"),
        (Invalid("?", slug="unknown-persona"), 404, "model_not_found"),
        (Invalid("?"), 400, "invalid"),
        (Unauthenticated("?"), 401, "invalid_api_key"),
        (Forbidden("?"), 403, "forbidden"),
        (Unavailable("?"), 503, "unavailable"),
    ],
)
def test_a_refusal_in_openais_shape(refused: Refused, status: int, code: str) -> None:
    error = error_of(refused.problem)

    assert (error.status, error.code) == (status, code)
    body = json.loads(error.body())["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert all(name in body["message"] for name in refused.problem.nearest)
    assert refused.problem.next_step in body["message"]


@pytest.mark.parametrize("class_", list(FailureClass))
def test_every_failure_of_a_provider_has_words_for_it(class_: FailureClass) -> None:
    failure = Failure(
        class_=class_, title="It failed", detail="Why.", next_step="Do.", retryable=False
    )
    error = failure_of(failure)

    assert 400 <= error.status < 600
    assert error.message == "It failed. Why. Do."


def test_a_key_sent_where_none_belongs_is_not_said_back() -> None:
    key = "sk-0123456789abcdefghijklmnop"
    refused = Invalid(
        f"There is no model called {key}.",
        errors=[{"field": "model", "message": f"{key} is unknown"}],
        nearest=["kimi/kimi-k3"],
    )

    assert key not in str(told(problems.answer(refused)))
    assert key not in str(error_of(problems.harmless(refused.problem)))
    assert told(problems.answer(refused))["nearest"] == ["kimi/kimi-k3"]
