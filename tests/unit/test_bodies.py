"""What may be sent to the edge, and how a mistake is named."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest

from contracts.modes import Mode
from services.edge.bodies import FollowQuery, KeyBody, LimitsBody, ListQuery, OpenBody
from services.edge.openai_bodies import CompletionBody
from services.edge.problems import of_validation
from shared.ids import fresh

Wrong = tuple[dict[str, Any], str]
"""What is changed, and the field that is then named."""

RILEY = {"persona": "riley-engstrom"}
MORGAN = {"persona": "morgan-castellano"}
ID = fresh()
NOBODY: list[Any] = []
EMPTY: dict[str, Any] = {}
ASKED: dict[str, Any] = {"topic": "How do we announce a beta?", "participants": [RILEY]}
CHAT: dict[str, Any] = {"model": "kimi/k2", "messages": [{"role": "user", "content": "Hello"}]}


def refusal(model: type[pydantic.BaseModel], body: object) -> dict[str, str]:
    """What is said of each field."""
    raw = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(pydantic.ValidationError) as caught:
        model.model_validate_json(raw)
    problem = of_validation(caught.value).problem
    return {one["field"]: one["message"] for one in problem.errors} or {"": problem.detail}


def test_one_participant_is_single_and_several_are_parallel_unless_said() -> None:
    def mode(**more: object) -> Mode:
        return OpenBody.model_validate_json(json.dumps(ASKED | more)).chosen_mode()

    assert mode() is Mode.SINGLE
    assert mode(participants=[RILEY, MORGAN]) is Mode.PARALLEL
    assert mode(mode="parallel") is Mode.PARALLEL


def test_a_misspelt_field_is_named_with_the_one_that_is_meant() -> None:
    said = refusal(OpenBody, ASKED | {"particpants": NOBODY})

    assert "did you mean participants?" in next(iter(said.values()))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"topic": ""}, "topic"),
        ({"topic": " \n\t "}, "topic"),
        ({"topic": "\u0301\u0302"}, "topic"),
        ({"topic": "\u200b\u202e"}, "topic"),
        ({"topic": "x" * 100_001}, "topic"),
        ({"topic": None}, "topic"),
        ({"topic": 7}, "topic"),
        ({"participants": NOBODY}, "participants"),
        ({"participants": [RILEY] * 9}, "participants"),
        ({"participants": [EMPTY]}, "participants.0"),
        ({"participants": [{"persona": "a b"}]}, "participants.0.persona"),
        ({"participants": [{"persona": "a\r\nPUB x 1"}]}, "participants.0.persona"),
        ({"participants": [{"model": ""}]}, "participants.0.model"),
        ({"participants": [{"model": "x" * 201}]}, "participants.0.model"),
        ({"mode": "brawl"}, "mode"),
        ({"models": ["kimi/k2", "openai/gpt-5.2"]}, "body"),
        ({"options": {"rounds": 11}}, "options.rounds"),
        ({"mode": "single", "participants": [RILEY, MORGAN]}, "body"),
        ({"options": {"max_completion_tokens": 0}}, "options.max_completion_tokens"),
        ({"options": {"max_completion_tokens": -1}}, "options.max_completion_tokens"),
        ({"options": {"max_completion_tokens": 1.5}}, "options.max_completion_tokens"),
        ({"options": {"max_completion_tokens": "10"}}, "options.max_completion_tokens"),
        ({"options": {"max_completion_tokens": True}}, "options.max_completion_tokens"),
        ({"options": {"max_completion_tokens": 10**18}}, "options.max_completion_tokens"),
        ({"options": {"temperature": -3}}, "options.temperature"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"__proto__": EMPTY}, "body"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(wrong: dict[str, object], field: str) -> None:
    assert list(refusal(OpenBody, ASKED | wrong)) == [field]


@pytest.mark.parametrize(
    "raw",
    ["", "null", "[]", '"x"', "1", '{"topic": ', "[" * 100_000, '{"topic": "\\ud800"}', "\ufeff{}"],
)
def test_what_is_no_document_is_refused(raw: str) -> None:
    assert refusal(OpenBody, raw)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999999", "1" * 10_000])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    asked = '{"topic": "x", "participants": [{"model": "a/b"}], "options": {"temperature": %s}}'
    assert refusal(OpenBody, asked % number)


@pytest.mark.parametrize(
    "secret",
    ["", "   ", "Bearer sk-123456", "sk-\u00e9", "sk-1\r\nX: y", "sk 12", "x" * 1001],
)
def test_a_secret_that_cannot_be_a_key_is_refused_without_being_repeated(secret: str) -> None:
    said = refusal(KeyBody, {"provider": "kimi", "secret": secret})

    assert len(said) == 1
    assert not secret.strip() or secret not in str(said)


def test_blanks_around_a_pasted_key_do_no_harm() -> None:
    body = KeyBody.model_validate_json('{"provider":"kimi","secret":" sk-123\\n"}')

    assert "sk-123" not in repr(body)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"messages": NOBODY}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": "x"}] * 2001}, "messages"),
        ({"model": ""}, "model"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"functions": [EMPTY]}, "body"),
    ],
)
def test_a_chat_that_cannot_be_kept_is_refused(wrong: dict[str, object], field: str) -> None:
    found = next(iter(refusal(CompletionBody, CHAT | wrong)))

    assert found.removesuffix(".literal['system']") == field or found.startswith(field)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "file:///etc/passwd", "gopher://x"])
def test_no_image_is_fetched_from_inside(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    assert refusal(CompletionBody, CHAT | {"messages": [{"role": "user", "content": [part]}]})


def test_what_only_concerns_openai_is_passed_over() -> None:
    more = {"user": "ada", "metadata": {"a": "b"}, "presence_penalty": 0, "max_tokens": 5}
    body = CompletionBody.model_validate_json(json.dumps(CHAT | more))

    assert body.parameters().max_completion_tokens == 5


def test_a_page_of_discussions_has_bounds() -> None:
    with pytest.raises(pydantic.ValidationError):
        ListQuery.model_validate({"limit": "0"})
    with pytest.raises(pydantic.ValidationError):
        ListQuery.model_validate({"cursor": "a.b"})
    assert ListQuery.model_validate({"limit": "5", "state": "running"}).limit == 5


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, 10**9 + 1])
@pytest.mark.parametrize("kind", ["rpm", "tpm", "tpd", "concurrency"])
def test_a_limit_that_is_none_is_refused(kind: str, value: object) -> None:
    assert list(refusal(LimitsBody, {kind: value})) == [kind]


def test_limits_are_named_or_the_body_is_refused() -> None:
    assert "rpm" in refusal(LimitsBody, EMPTY)["body"]
    assert "there are rpm" in refusal(LimitsBody, {"rmp": 3})["body"]


def test_what_is_left_out_of_the_limits_stays_and_null_takes_it_back() -> None:
    now, fallback = {"rpm": 5, "concurrency": 2, "tpm": 9}, {"rpm": 100, "concurrency": 15}

    def over(body: dict[str, int | None]) -> dict[str, int]:
        return LimitsBody.model_validate_json(json.dumps(body)).over(now, fallback)

    assert over({"rpm": 3}) == {"rpm": 3, "concurrency": 2, "tpm": 9}
    assert over({"rpm": None, "tpm": None}) == {"rpm": 100, "concurrency": 2}


@pytest.mark.parametrize(
    "told", ["", "x", "a.b:1", f"{ID}:-1", f"{ID}:x", f"{ID}:{'9' * 19}", f"{ID}:1;{ID}:2"]
)
def test_what_is_no_list_of_discussions_cannot_be_followed(told: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        FollowQuery.model_validate({"follow": told})


def test_several_discussions_are_followed_from_where_each_was_left() -> None:
    other = fresh()

    assert FollowQuery.model_validate({"follow": f"{ID}:7,{other}"}).wanted() == {ID: 7, other: 0}
    with pytest.raises(pydantic.ValidationError):
        FollowQuery.model_validate({"follow": ",".join(f"{fresh()}:1" for _ in range(101))})
