"""Names taken out of a body: tokens in their places, the same for the same name, linked to nobody."""

import pytest

from vpp.record.bodies.fields import BodyError
from vpp.record.erasure.redaction import ErasedNames, redaction_body, redactions_of
from vpp.record.names.subject import SubjectKind, is_token


def names() -> ErasedNames:
    return ErasedNames(lambda kind, text: (kind, text) == (SubjectKind.SESSION, "CS-1:1"))


def body(*sessions: str) -> dict[str, object]:
    return {"sessions": [{"event": "SessionStarted", "session_id": one, "row": 1} for one in sessions], "cycle": 7}


def test_a_token_stands_for_an_erased_name_wherever_it_stood() -> None:
    erased = names()
    first, second = (erased.left_of("cycle", body("CS-1:1", "CS-2:1", "CS-1:1")) for _ in range(2))
    assert first is not None
    assert first == second
    one, other, again = [event["session_id"] for event in first["sessions"]]  # type: ignore[attr-defined] # as written
    assert is_token(one)
    assert (one, other) == (again, "CS-2:1")
    assert first["cycle"] == 7
    assert one != names().token(SubjectKind.SESSION, "CS-1:1"), "nobody can compute it from the name"


def test_an_entry_that_names_nobody_stays_as_it_is() -> None:
    assert names().left_of("cycle", body("CS-2:1")) is None
    assert names().left_of("plan.installed", {"actor": "CS-1:1"}) is None
    assert names().left_of("request.transition", {"actor": "CS-1:1"}) is None, "another kind of name"


def test_the_entry_about_redacted_ones_is_read_again() -> None:
    assert redactions_of(redaction_body([(3, "ab"), (5, "cd")])) == {3: "ab", 5: "cd"}
    with pytest.raises(BodyError, match=r"record.redacted.entries\[0\] is \[1\]; accepted is a pair"):
        redactions_of({"entries": [[1]]})
