"""Freed memory stays with the process."""

import platform
import resource
from pathlib import Path

import numpy as np
import pytest

from optimizer.heap import give_back_freed_memory, keep_freed_memory

_COLUMN = 276_000
_ROUNDS = 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's heap can be told")
def test_columns_that_come_and_go_cost_no_new_pages() -> None:
    assert keep_freed_memory()
    column = np.ones(_COLUMN)
    _come_and_go(column)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(_ROUNDS):
        _come_and_go(column)
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert pages < _ROUNDS * 8 * _COLUMN / resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's heap can be told")
def test_what_was_freed_can_be_given_back_at_once() -> None:
    assert keep_freed_memory()
    columns = [np.ones(_COLUMN) for _ in range(_ROUNDS)]
    del columns
    kept = _resident_bytes()
    give_back_freed_memory()
    assert kept - _resident_bytes() > 0.5 * _ROUNDS * 8 * _COLUMN


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _come_and_go(column: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    raised, lowered = column + 1.0, column - 1.0
    return float((raised * lowered).sum())
