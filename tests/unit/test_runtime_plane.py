"""The device plane remembers when each command left."""

import numpy as np

from vpp.runtime.plane import SentTimes


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def test_every_command_of_a_batch_left_when_the_batch_did() -> None:
    sent = SentTimes()
    sent.note(ids(10, 11, 14), 100.0)
    sent.note(ids(), 105.0)
    sent.note(ids(20), 110.0)

    np.testing.assert_array_equal(sent.of(ids(14, 20, 10)), [100.0, 110.0, 100.0])


def test_what_was_never_sent_or_long_ago_is_unknown() -> None:
    sent = SentTimes()
    np.testing.assert_array_equal(sent.of(ids(1, 2)), [np.nan, np.nan])
    for number in range(5000):
        sent.note(ids(number + 1), float(number))

    np.testing.assert_array_equal(sent.of(ids(1, 5000, 5001)), [np.nan, 4999.0, np.nan])
    assert len(sent._at_s) == 4096, "it stays small"
