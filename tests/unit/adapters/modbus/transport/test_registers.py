"""Numbers in 16-bit registers: bounds, and values that stand for "not implemented"."""

import math

import pytest

from adapters.modbus.transport.registers import KINDS, encoded, number

WHOLE = [kind for kind, known in KINDS.items() if known.code not in "fd"]


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if KINDS[kind].absent])
def test_no_value_is_written_that_would_be_read_as_not_implemented(kind: str) -> None:
    absent = KINDS[kind].absent
    assert absent is not None
    with pytest.raises(OverflowError, match="does not fit"):
        encoded(kind, absent)
    assert math.isnan(number(kind, encoded(kind, math.nan)))


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers_are_written_within_their_bounds_only(kind: str) -> None:
    least, greatest = KINDS[kind].bounds
    for beyond in (least - 1, greatest + 1, math.inf):
        with pytest.raises(OverflowError):
            encoded(kind, beyond)
    assert number(kind, encoded(kind, 7)) == 7.0
