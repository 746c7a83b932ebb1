"""Fields of a body: read as they were written, and named where they are something else."""

import numpy as np
import pytest

from vpp.domain.errors import AuditError
from vpp.record.bodies.fields import Fields

BODY = {
    "text": "x",
    "whole": 3,
    "number": 2.5,
    "unknown": None,
    "list": [1, 2],
    "array": np.arange(3),
    "flag": True,
    "part": {"inner": 1},
    "parts": [{"inner": 1}, 7],
}
FIELDS = Fields(BODY, "cycle")


def test_fields_are_read_as_they_were_written() -> None:
    assert (FIELDS.text("text"), FIELDS.integer("whole"), FIELDS.number("number")) == ("x", 3, 2.5)
    assert np.isnan(FIELDS.number("unknown"))
    assert (FIELDS.sequence("list"), FIELDS.sequence("array")) == ([1, 2], [0, 1, 2])
    np.testing.assert_array_equal(FIELDS.array("list", np.int32), [1, 2])
    assert FIELDS.part("part").integer("inner") == 1
    assert FIELDS.text("absent", "y") == "y"
    assert "text" in FIELDS
    assert "absent" not in FIELDS


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: FIELDS.text("absent"), "cycle.absent is missing"),
        (lambda: FIELDS.text("whole"), "cycle.whole is 3; accepted is a text"),
        (lambda: FIELDS.integer("number"), "cycle.number is 2.5; accepted is a whole number"),
        (lambda: FIELDS.integer("flag"), "cycle.flag is True; accepted is a whole number"),
        (lambda: FIELDS.number("text"), "cycle.text is 'x'; accepted is a number, or null where it is unknown"),
        (lambda: FIELDS.sequence("text"), "cycle.text is 'x'; accepted is a list"),
        (lambda: FIELDS.array("text", np.int32), "cycle.text is 'x'; accepted is a list of numbers"),
        (lambda: FIELDS.part("list"), r"cycle.list is \[1, 2\]; accepted is an object"),
        (lambda: FIELDS.parts("parts"), r"cycle.parts\[1\] is 7; accepted is an object"),
        (lambda: Fields([], "cycle"), r"cycle is \[\]; accepted is an object"),
    ],
)
def test_what_is_something_else_is_named(read: object, said: str) -> None:
    assert callable(read)
    with pytest.raises(AuditError, match=f"^{said}$"):
        read()


def test_a_long_value_is_cut() -> None:
    with pytest.raises(AuditError, match=r"…; accepted is a text$"):
        Fields({"long": list(range(1000))}, "cycle").text("long")
