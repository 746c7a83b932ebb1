"""A fiftieth of what ``make fuzz`` draws, in every run of the tests."""

import os

import pytest

from tests.fuzz.engine import fuzz
from tests.fuzz.protocols import INPUTS, PROTOCOLS

COUNT = int(os.environ.get("VPP_FUZZ_INPUTS", INPUTS // 50))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_input_crashes_anything_or_touches_a_neighbour(name: str) -> None:
    module = PROTOCOLS[name]
    tally = fuzz(module, max(round(COUNT * module.SHARE), 1), "tests")
    assert tally.sound, "\n".join((tally.line(), *tally.crashes))
