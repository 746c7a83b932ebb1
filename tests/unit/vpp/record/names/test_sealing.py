"""Names in entries, and the tokens that stand for them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.record.kinds import KINDS
from vpp.record.names.sealing import PERSONAL, opened, sealed, tokens_in
from vpp.record.names.subject import Subject, SubjectKind

SALT = bytes(16)


def token_of(kind: SubjectKind, text: str) -> str:
    return Subject.of(kind, text, SALT).token


@given(st.sampled_from(SubjectKind), st.text(), st.binary(min_size=16, max_size=16))
def test_a_token_commits_to_a_name_and_says_nothing_of_it(kind: SubjectKind, text: str, salt: bytes) -> None:
    subject = Subject.of(kind, text, salt)
    assert subject.holds
    assert tokens_in([subject.token]) == {subject.token}
    assert not replace(subject, text=text + "x").holds
    assert not replace(subject, salt=bytes([salt[0] ^ 1]) + salt[1:]).holds
    assert len(text) < 2 or text not in subject.token


@pytest.mark.parametrize("kind", PERSONAL)
def test_every_field_that_names_somebody_is_sealed_wherever_it_stands(kind: str) -> None:
    for field, what in PERSONAL[kind].items():
        body = {field: "alice", "other": "alice", "deep": [{field: "bob", "n": 1.5}, {field: None}]}
        found: Any = sealed(kind, body, token_of)
        assert found[field] == token_of(what, "alice")
        assert found["deep"] == [{field: token_of(what, "bob"), "n": 1.5}, {field: None}]
        assert found["other"] == "alice"
        assert body[field] == "alice", "the caller's own is left alone"


def test_the_service_itself_and_other_kinds_have_nothing_to_hide() -> None:
    body = {"actor": "service"}
    assert sealed("request.transition", body, token_of) == body
    assert sealed("setpoints.sent", {"actor": "alice"}, token_of) == {"actor": "alice"}


def test_what_was_erased_keeps_its_token() -> None:
    tokens = [token_of(SubjectKind.SESSION, text) for text in ("CS-1:1", "CS-2:1")]
    kept = np.arange(3)
    tree = {"ids": tokens, "rows": kept, "pair": (tokens[0], 1), "text": "~not-a-token"}
    found = opened(tree, {tokens[0]: "CS-1:1"})
    assert found["ids"] == ["CS-1:1", tokens[1]]
    assert found["pair"] == ("CS-1:1", 1)
    assert found["rows"] is kept
    assert tokens_in(tree) == set(tokens)


def test_kinds_with_names_are_kinds_of_the_journal() -> None:
    assert set(PERSONAL) - {"fleet.changed"} <= set(KINDS)
