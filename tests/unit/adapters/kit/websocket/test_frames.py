"""WebSocket frames: masks, payloads, close codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit.websocket import frames
from adapters.kit.websocket.frames import CloseCode, Opcode

KEY = b"\x01\x02\x03\x04"


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
def test_pure_python_unmasks_as_the_extension_does(data: bytes, mask: bytes) -> None:
    assert frames.xor(data, mask) == frames.apply_mask(data, mask)
    assert frames.xor(frames.xor(data, mask), mask) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_frame_says_where_its_payload_is(size: int) -> None:
    payload = bytes(size)
    for frame in (frames.text(payload), frames.masked(Opcode.TEXT, payload, KEY)):
        body, stop = frames.span(b"xy" + frame, 2)
        assert (stop - body, stop) == (size, 2 + len(frame))
        if size:
            assert frames.span(frame[:1], 0) == (0, 0)


def test_a_close_frame_carries_its_code() -> None:
    assert frames.control(Opcode.CLOSE, frames.closing(CloseCode.SERVICE_RESTART)) == b"\x88\x02\x03\xf4"
