"""State trees come back bit for bit, or are refused by name."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vpp.domain.errors import FrameError
from vpp.record.state_codec import decode_state, encode_state

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    arrays.arrays(
        st.sampled_from(["<f8", "<f4", "<i8", "<i4", "|u1", "|b1"]), arrays.array_shapes(max_dims=2, min_side=0)
    ),
)
TREES = st.dictionaries(
    st.text(max_size=10),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 99), inner)),
    max_size=5,
)


def same(one: object, other: object) -> bool:
    """Return whether two state trees are equal bit for bit, NaN included."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return repr(one) == repr(other)


@given(TREES)
def test_a_state_comes_back_bit_for_bit(tree: dict[str, object]) -> None:
    assert same(decode_state(encode_state(tree)), tree)


@pytest.mark.parametrize("count", [15, 16, 65_535, 65_536])
def test_mappings_of_every_size_come_back(count: int) -> None:
    tree = {"by_number": {str(number): number for number in range(count)}}
    assert decode_state(encode_state(tree)) == tree


def test_a_large_state_takes_little_more_than_its_compressed_form() -> None:
    tree = {"columns": {str(number): np.full(1_000_000, float(number)) for number in range(20)}}
    encode_state(tree)
    tracemalloc.start()
    try:
        encode_state(tree)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60e6, "160 MB of columns, written 8 MB at a time"


def test_a_slice_is_kept_as_its_values() -> None:
    columns = np.arange(12.0).reshape(3, 4)
    back = decode_state(encode_state({"column": columns[:, 1], "turned": columns.T}))
    assert np.array_equal(back["column"], columns[:, 1])
    assert np.array_equal(back["turned"], columns.T)


def test_constant_columns_take_next_to_nothing() -> None:
    assert len(encode_state({"unknown": np.full(276_000, np.nan)})) < 2_000


@pytest.mark.parametrize("content", [b"", b"VS", b"XX" + bytes(9), b"VS\x63" + bytes(8)])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(FrameError, match="state"):
        decode_state(content)


def test_damage_is_found() -> None:
    content = encode_state({"column": np.arange(100.0), "name": "x" * 50})
    with pytest.raises(FrameError, match="state"):
        decode_state(content[:-5])


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(FrameError, match="object"):
        encode_state({"thing": object()})
