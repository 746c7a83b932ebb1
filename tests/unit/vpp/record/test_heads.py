"""A head is vouched for by its key, and by no other."""

from dataclasses import replace

import pytest

from vpp.domain.errors import FrameError, InputError
from vpp.record.entry import Head
from vpp.record.heads import HeadKey, SignedHead, verified

HEAD = Head(7, "ab" * 32)


def test_a_head_is_verified_by_the_public_key_alone() -> None:
    key = HeadKey.random()
    signed = key.sign("fleet", HEAD, 100)
    assert signed.head == HEAD
    assert verified(signed, key.public)
    assert not verified(signed, HeadKey.random().public)


@pytest.mark.parametrize(
    "change",
    [
        {"fleet": "other"},
        {"sequence": 8},
        {"sha256": "cd" * 32},
        {"at_s": 101.0},
        {"restored": True},
        {"signature": "z"},
    ],
    ids=str,
)
def test_no_field_can_be_changed(change: dict[str, object]) -> None:
    key = HeadKey.random()
    assert not verified(replace(key.sign("fleet", HEAD, 100.0), **change), key.public)  # type: ignore[arg-type]


def test_a_head_and_a_key_come_back_from_their_text() -> None:
    key = HeadKey.random()
    signed = key.sign("fleet", HEAD, 1e9 + 0.125, restored=True)
    assert SignedHead.of_line(signed.line()) == signed
    assert HeadKey.of_pem(key.pem).public == key.public


@pytest.mark.parametrize("line", ["", "7", "{}", '{"fleet":"x","sequence":"many"}', b"\xff"])
def test_a_line_that_holds_no_head_is_refused(line: str | bytes) -> None:
    with pytest.raises(FrameError, match="no signed head"):
        SignedHead.of_line(line)


def test_a_text_that_holds_no_key_is_refused() -> None:
    with pytest.raises(InputError, match="Ed25519"):
        HeadKey.of_pem(b"-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n")
