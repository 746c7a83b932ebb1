"""The comparison compares the same problem, and says what is not there."""

from pathlib import Path

import highspy
import pytest

from optimizer.solve import solve
from tests.patience import PATIENCE_WALL_S
from vpp.lab.bench.instance import generated, problem_of
from vpp.lab.bench.rivals import RIVALS
from vpp.lab.bench.rivals.by_arrays import lp_of, program_of
from vpp.lab.bench.rivals.comparison import _run, cars_behind_one_limit


def test_the_arrays_hold_the_problem_the_monolith_solves() -> None:
    whole = generated(25, 3)
    for instance in (whole, cars_behind_one_limit(whole)):
        highs = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy ships no annotations
        highs.setOptionValue("output_flag", False)
        highs.passModel(lp_of(program_of(instance)))
        highs.run()
        found = solve(problem_of(instance), deadline_s=PATIENCE_WALL_S, method="monolith")
        assert highs.getInfo().objective_function_value == pytest.approx(found.objective_cny, rel=1e-6)


def test_a_rival_that_is_not_installed_is_reported_and_not_invented(tmp_path: Path) -> None:
    absent = [rival for rival in RIVALS if rival.home == "rivals"]
    assert absent
    for rival in absent:
        found = _run(rival, tmp_path / "instance.npz", limit_s=1.0, environment=tmp_path)
        assert found["note"] == "not installed: make rivals"
        assert found["cpu_s"] is None
        assert found["objective_cny"] is None


def test_a_rival_that_fails_is_reported_with_its_last_word(tmp_path: Path) -> None:
    (service,) = (rival for rival in RIVALS if rival.name == "HiGHS simplex")
    found = _run(service, tmp_path / "nothing.npz", limit_s=30.0, environment=tmp_path)
    assert "nothing.npz" in str(found["note"])
    assert found["cpu_s"] is None
