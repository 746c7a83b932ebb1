"""Reads cover what is wanted in few requests."""

from adapters.modbus.transport.reading import merged


def test_reads_next_to_each_other_become_one_and_far_ones_stay_apart() -> None:
    assert merged([(300, 10), (100, 20), (130, 40)]) == [(100, 70), (300, 10)]
    assert merged([(100, 20), (130, 40)], gap=0) == [(100, 20), (130, 40)]
    assert merged([(0, 300)]) == [(0, 125), (125, 125), (250, 50)]
