"""Bodies as they are stored."""

import math
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpp.domain.errors import FrameError, InputError
from vpp.domain.request import RequestState
from vpp.record.stored_body import PACKED, read_body, stored_body


def test_a_short_body_is_stored_as_the_readable_text_of_before() -> None:
    body = {
        "b": math.nan,
        "a": [np.float64(1.5), np.int32(2)],
        "set": frozenset({2, 1}),
        "m": MappingProxyType({1: "x"}),
    }
    stored = stored_body(body)
    assert stored.packed == b""
    assert stored.text == '{"a":[1.5,2],"b":null,"m":{"1":"x"},"set":[1,2]}'


def test_a_body_is_one_text_for_one_meaning() -> None:
    assert stored_body({"b": 1, "a": math.nan}) == stored_body({"a": math.inf, "b": 1})
    assert stored_body({"b": 1, "a": math.nan}).text == '{"a":null,"b":1}'


def test_a_body_takes_what_decisions_are_made_of() -> None:
    body = {
        "state": RequestState.HOLDING,
        "at": datetime(2026, 7, 15, tzinfo=UTC),
        "kw": np.float64(1.5),
        "areas": frozenset({"b", "a"}),
        7: (1, 2),
    }
    assert stored_body(body).text == (
        '{"7":[1,2],"areas":["a","b"],"at":"2026-07-15T00:00:00+00:00","kw":1.5,"state":"holding"}'
    )


def test_arrays_come_back_as_arrays_of_their_shape_and_type() -> None:
    body = {
        "at": 1.0,
        "deep": [{"power_kw": np.arange(6, dtype=np.float32).reshape(2, 3)}, None],
        "ids": np.arange(40),
        "none": np.zeros((0, 4)),
        "up": np.array([True, False]),
    }
    stored = stored_body(body)
    assert stored.text == PACKED
    found = read_body(*stored)
    deep = found["deep"][0]["power_kw"]
    assert (deep.dtype, deep.tolist()) == (np.dtype("<f4"), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    np.testing.assert_array_equal(found["ids"], np.arange(40))
    assert (found["none"].shape, found["up"].tolist(), found["at"]) == ((0, 4), [True, False], 1.0)


@given(
    shapes=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3),
    dtype=st.sampled_from(("<f8", "<f4", "<i4")),
)
def test_arrays_of_any_shape_come_back_also_where_all_of_them_are_empty(shapes: list[list[int]], dtype: str) -> None:
    body = {str(n): np.full(shape, n + 0.25, dtype=dtype) for n, shape in enumerate(shapes)}
    found = read_body(*stored_body(body))
    assert {name: np.asarray(array).tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in body.items()
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_])
def test_a_body_whose_arrays_are_all_empty_comes_back(dtype: type[np.generic]) -> None:
    found = read_body(*stored_body({"power_kw": np.zeros((0, 96), dtype=dtype), "rows": np.zeros(0, dtype=np.int64)}))
    power_kw, rows = found["power_kw"], found["rows"]
    assert isinstance(power_kw, np.ndarray)
    assert isinstance(rows, np.ndarray)
    assert (power_kw.shape, power_kw.dtype, rows.shape, rows.dtype) == ((0, 96), dtype, (0,), np.int64)


def test_a_long_text_is_packed_and_comes_back() -> None:
    body = {"sessions": [{"session_id": f"CP{n}:1", "row": n} for n in range(200)]}
    stored = stored_body(body)
    assert stored.size < len(orjson.dumps(body)) / 5
    assert read_body(*stored) == body


def test_a_body_is_stored_the_same_every_time_whatever_the_order_of_its_keys() -> None:
    body = {"b": np.arange(100), "a": np.linspace(0.0, 1.0, 100)}
    assert stored_body(body) == stored_body(dict(reversed(body.items())))


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(InputError, match="object"):
        stored_body({"a": object()})


PACKED_BYTES = stored_body({"a": np.arange(100.0) ** 0.5}).packed


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("", b""),
        ("null", b""),
        ("[1]", b""),
        ("null", PACKED_BYTES[:3]),
        ("null", PACKED_BYTES[:-9]),
        ("null", PACKED_BYTES[:40] + bytes([PACKED_BYTES[40] ^ 255]) + PACKED_BYTES[41:60]),
    ],
)
def test_a_damaged_body_is_refused(text: str, packed: bytes) -> None:
    with pytest.raises(FrameError):
        read_body(text, packed)


def test_a_packed_body_of_a_newer_version_says_so() -> None:
    with pytest.raises(FrameError, match="version 9 was written by a newer service"):
        read_body(PACKED, b"\x09" + PACKED_BYTES[1:])
