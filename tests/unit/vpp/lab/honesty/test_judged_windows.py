"""Judged windows: kept in a file as they are, and told apart by day."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests.unit.vpp.lab.honesty.windows import MONDAY_S, windows
from vpp.lab.honesty.judged_windows import JudgedWindows


@pytest.mark.parametrize("count", [2, 0])
def test_a_file_holds_every_column_as_it_was(tmp_path: Path, count: int) -> None:
    two = windows([80.0, 95.0], area=np.array(["city", "minhang"]), learnt=np.array([True, False]))
    made = two.chosen(np.full(2, count == 2))
    made.write(tmp_path / "w.parquet")
    again = JudgedWindows.read(tmp_path / "w.parquet")
    for one in fields(JudgedWindows):
        assert getattr(again, one.name).tolist() == getattr(made, one.name).tolist(), one.name
        assert getattr(again, one.name).dtype.kind == getattr(made, one.name).dtype.kind, one.name


def test_a_day_is_one_of_shanghai_and_has_its_kind() -> None:
    made = windows([1.0, 1.0, 1.0], start_s=MONDAY_S + np.array([0.0, 86_399.0, 5 * 86_400.0]))
    assert (made.day - made.day[0]).tolist() == [0, 0, 5]
    assert made.day_types().tolist() == ["workday", "workday", "weekend"]
