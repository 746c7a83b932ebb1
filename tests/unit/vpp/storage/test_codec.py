"""Batches as frames, to the bit."""

import pytest

from tests.unit.vpp.storage.parts import batch, same
from vpp.domain.errors import FrameError
from vpp.storage.codec import decode, encode


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_a_batch_survives_the_codec_to_the_bit(count: int) -> None:
    assert same(decode(encode(batch(count))), batch(count))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame[:0],
        lambda frame: frame[:5],
        lambda frame: b"XX" + frame[2:],
        lambda frame: frame[:2] + b"\x09" + frame[3:],
        lambda frame: frame[:-4],
        lambda frame: frame[:3] + b"\x01\x00\x00\x00" + frame[7:],
    ],
)
def test_a_spoilt_frame_is_refused(spoil: "object") -> None:
    with pytest.raises(FrameError):
        decode(spoil(encode(batch(10))))
