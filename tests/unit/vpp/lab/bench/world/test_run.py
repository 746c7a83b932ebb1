"""``vpp bench world``: a clear message without the data, and the shape of its answer with it."""

import json
from datetime import date
from pathlib import Path

import pytest

from vpp.domain.errors import InputError
from vpp.lab.bench.world.run import WorldOptions, run_world

DATA = Path(__file__).parents[7] / "shared" / "data"


def options(data: Path) -> WorldOptions:
    return WorldOptions(data=data, world="hostile", scale=0.01, first=date(2026, 4, 1), days=28, seed=1)


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pv_stategrid_15min\.parquet"):
        run_world(options(tmp_path), as_json=True)


@pytest.mark.soak
def test_every_class_has_a_row_for_each_horizon(capsys: pytest.CaptureFixture[str]) -> None:
    if not (DATA / "pv_stategrid_15min.parquet").is_file():
        pytest.skip("the shared data are not here")
    run_world(options(DATA), as_json=True)
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    found = {(row["class"], row["horizon_h"]) for row in rows}
    assert {("pv", 0.25), ("pv", 24.0), ("ev_caltech", 1.0), ("ev_dundee", 4.0), ("city_load", 24.0)} <= found
    assert all(row["twin_rmse_ratio"] > 0.0 and row["data_rmse_ratio"] > 0.0 for row in rows)
