"""OCPP-J frames: their readable part, and their depth."""

import orjson
import pytest

from adapters.kit.json_depth import MAX_DEPTH, is_too_deep
from adapters.ocpp.messages.envelope import UNUSUAL, BrokenFrameError, glimpsed, id_of, parsed, read_usual


@pytest.mark.parametrize("pair", ["[]", "{}", '{"a":}'])
def test_depth_is_counted_outside_strings_whatever_is_nested(pair: str) -> None:
    before, after = pair[:-1].encode(), pair[-1:].encode()
    assert not is_too_deep(before * MAX_DEPTH + after * MAX_DEPTH)
    assert is_too_deep(before * (MAX_DEPTH + 1) + after * (MAX_DEPTH + 1))
    assert is_too_deep(before * 5000)
    assert not is_too_deep(orjson.dumps([[1]] * 1000))
    assert not is_too_deep(orjson.dumps({"a": "[" * 5000, 'b"': "\\" + "{" * 5000}))
    assert is_too_deep(b'["\\"",' + before * 5000)
    assert not is_too_deep(b"")
    assert not is_too_deep(b"]" * 100 + b'"' + b"[" * 100)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 200, 1500, 100_000])
def test_deep_nesting_is_an_error_of_its_own_and_never_an_exception_of_the_parser(depth: int) -> None:
    for raw in (b"[" * depth, b'[2,"7","X",' + b"[" * depth + b"]" * depth + b"]"):
        with pytest.raises(BrokenFrameError, match="nesting"):
            parsed(raw)
    deep = b'[2,"7","X",{"a":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}]"
    try:
        read_usual(deep)
    except UNUSUAL as error:
        assert isinstance(error, RecursionError)  # noqa: PT017 - only beyond a depth of the interpreter's
    with pytest.raises(BrokenFrameError, match="nesting"):
        parsed(deep)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'[2,"x","Heartbeat",{', (2, "x")),
        (b' [ 4 , "a b" ', (4, "a b")),
        (b'[3,"' + b"x" * 36 + b'"', (3, "x" * 36)),
        (b'[3,"' + b"x" * 37 + b'"', (0, "")),
        (b'[2,"\\ud800"', (0, "")),
        (b'[2,"\xff"', (0, "")),
        (b'[5,"x"', (0, "")),
        (b"", (0, "")),
    ],
)
def test_type_and_id_are_read_off_a_frame_that_breaks_off_later(raw: bytes, found: tuple[int, str]) -> None:
    assert glimpsed(raw) == found


def test_a_number_is_an_id_by_its_digits_and_nothing_else_is_one() -> None:
    assert [id_of(value) for value in ("7", 7, True, None, 7.0, [])] == ["7", "7", "", "", "", ""]
