"""A secret crosses the bus sealed: one reader, one purpose, and nobody can touch it on the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.sealing import (
    BadKey,
    BadSignature,
    CannotOpen,
    Info,
    RecipientKey,
    SigningKey,
    lease_info,
    seal,
    submission_info,
    verify,
)

LEASE = lease_info(
    workspace="default", request="a1", key="k1", version=1, endpoint="https://api.moonshot.ai/v1"
)
SUBMISSION = submission_info(workspace="default", request="r1", provider="kimi")

words = st.text(max_size=12)


@given(secret=st.binary(max_size=600))
@settings(max_examples=30, deadline=None)
def test_what_is_sealed_is_opened_by_its_recipient(secret: bytes) -> None:
    recipient = RecipientKey.generate()
    sealed = seal(recipient.public, secret, SUBMISSION)
    assert recipient.open(sealed, SUBMISSION) == secret
    assert len(secret) < 8 or secret not in sealed


def test_somebody_else_cannot_open_it() -> None:
    sealed = seal(RecipientKey.generate().public, b"sk-secret", LEASE)
    with pytest.raises(CannotOpen):
        RecipientKey.generate().open(sealed, LEASE)


@pytest.mark.parametrize(
    "other",
    [
        SUBMISSION,
        lease_info(workspace="other", request="a1", key="k1", version=1, endpoint="https://e"),
        lease_info(workspace="default", request="a2", key="k1", version=1, endpoint="https://e"),
        lease_info(workspace="default", request="a1", key="k2", version=1, endpoint="https://e"),
        lease_info(workspace="default", request="a1", key="k1", version=2, endpoint="https://e"),
        lease_info(workspace="default", request="a1", key="k1", version=1, endpoint="https://f"),
    ],
)
def test_it_opens_for_no_other_purpose(other: Info) -> None:
    recipient = RecipientKey.generate()
    info = lease_info(workspace="default", request="a1", key="k1", version=1, endpoint="https://e")
    sealed = seal(recipient.public, b"sk-secret", info)
    with pytest.raises(CannotOpen):
        recipient.open(sealed, other)


@given(position=st.integers(min_value=0, max_value=10_000), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_is_noticed(position: int, flip: int) -> None:
    recipient = RecipientKey.generate()
    sealed = bytearray(seal(recipient.public, b"sk-secret", LEASE))
    sealed[position % len(sealed)] ^= flip
    with pytest.raises(CannotOpen):
        recipient.open(bytes(sealed), LEASE)


@pytest.mark.parametrize("length", [0, 1, 31, 40])
def test_a_cut_message_cannot_be_opened(length: int) -> None:
    recipient = RecipientKey.generate()
    with pytest.raises(CannotOpen):
        recipient.open(seal(recipient.public, b"sk-secret", LEASE)[:length], LEASE)


@given(first=st.tuples(words, words, words), second=st.tuples(words, words, words))
def test_different_fields_never_make_the_same_purpose(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    def info(fields: tuple[str, str, str]) -> bytes:
        workspace, request, provider = fields
        return submission_info(workspace=workspace, request=request, provider=provider)

    assert (info(first) == info(second)) == (first == second)


@pytest.mark.parametrize("public", [b"", b"short", b"\0" * 32])
def test_what_is_no_public_key_is_refused(public: bytes) -> None:
    with pytest.raises(BadKey):
        seal(public, b"sk-secret", LEASE)


def test_private_halves_can_be_kept_and_brought_back() -> None:
    recipient, pen = RecipientKey.generate(), SigningKey.generate()
    assert RecipientKey.from_private(recipient.private_bytes()).public == recipient.public
    assert SigningKey.from_private(pen.private_bytes()).public == pen.public
    for kind in (RecipientKey, SigningKey):
        with pytest.raises(BadKey):
            kind.from_private(b"short")


def test_a_signature_holds_for_these_bytes_and_this_purpose_only() -> None:
    pen = SigningKey.generate()
    signature = pen.sign(b"sealed", LEASE)
    verify(pen.public, signature, b"sealed", LEASE)
    for public, data, info in (
        (pen.public, b"Sealed", LEASE),
        (pen.public, b"sealed", SUBMISSION),
        (SigningKey.generate().public, b"sealed", LEASE),
    ):
        with pytest.raises(BadSignature):
            verify(public, signature, data, info)
    with pytest.raises(BadSignature):
        verify(pen.public, signature[:-1], b"sealed", LEASE)
    with pytest.raises(BadKey):
        verify(b"short", signature, b"sealed", LEASE)
