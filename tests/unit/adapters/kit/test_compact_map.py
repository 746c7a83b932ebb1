"""A compact map does what a dictionary of the same pairs does, and is smaller."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit.compact_map import EMPTY, CompactMap

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers()), max_size=12)


@given(steps)
def test_it_holds_what_a_dictionary_would(changes: list[tuple[bool, int, int]]) -> None:
    compact, plain = CompactMap[int, int](), dict[int, int]()
    for adds, key, value in changes:
        compact = compact.plus(key, value) if adds else compact.minus(key)
        if adds:
            plain[key] = value
        else:
            plain.pop(key, None)
        assert list(compact.items()) == list(plain.items())
        assert compact == plain
        assert len(compact) == len(plain)
        assert all(compact.get(key) == plain.get(key) for key in range(5))
        assert all((key in compact) is (key in plain) for key in range(5))


def test_a_key_it_does_not_hold_is_an_error() -> None:
    with pytest.raises(KeyError, match="2"):
        CompactMap([(1, 5)])[2]
    assert CompactMap([(1, 5)]).get(2, "none") == "none"


def test_all_that_have_lost_their_only_key_are_one() -> None:
    assert CompactMap([(1, 5)]).minus(1) is EMPTY
    assert CompactMap([(1, 5)]).minus(2) == {1: 5}


def test_one_pair_takes_half_of_a_dictionary() -> None:
    one = CompactMap([(1, 5)])
    assert 2 * (sys.getsizeof(one) + sys.getsizeof(one._flat)) <= sys.getsizeof({1: 5})
