"""``vpp bench optimizer --instance`` with hostile files: exit code 2 and a named field, or a certified answer."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from vpp.lab.bench import instance as instances
from vpp.lab.bench.instance import Arrays, generated
from vpp.lab.bench.optimizer import run_optimizer

NAN, INF = float("nan"), float("inf")
Change = Callable[[Arrays], None]


def answered(tmp_path: Path, arrays: Arrays, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, float], str]:
    """Return exit code, report and standard error of a run on ``arrays``."""
    path = tmp_path / "instance.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy takes any name
    code = run_optimizer(path, out=tmp_path / "out.npz", devices=1, seed=0, rivals=False, as_json=True)
    told = capsys.readouterr()
    return code, orjson.loads(told.out.splitlines()[-1]) if told.out else {}, told.err


def put(name: str, value: float, place: tuple[int, ...] | int = 0) -> Change:
    """Return a change of one number."""

    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return change


def drop(name: str) -> Change:
    """Return a change that leaves an array out."""

    def change(arrays: Arrays) -> None:
        del arrays[name]

    return change


def scaled(name: str, factor: float) -> Change:
    """Return a change of a whole array."""

    def change(arrays: Arrays) -> None:
        arrays[name] = np.asarray(arrays[name], dtype=np.float64) * factor

    return change


def emptied(arrays: Arrays) -> None:
    """Take every device away."""
    for name in [name for name in arrays if name.startswith(("ev_", "bat_"))]:
        arrays[name] = arrays[name][:0]


def shuffled(arrays: Arrays) -> None:
    """Put the rows of cars and batteries into any order."""
    random = np.random.default_rng(7)
    for kind in ("ev_", "bat_"):
        order = random.permutation(len(arrays[f"{kind}transformer"]))
        for name in [name for name in arrays if name.startswith(kind)]:
            arrays[name] = arrays[name][order]


def below_base(arrays: Arrays) -> None:
    """Draw the limits in below what hangs there anyway."""
    arrays["transformer_limit_kw"] = 0.8 * np.asarray(arrays["base_kw"], dtype=np.float64).max(axis=1)


REFUSED: dict[str, tuple[Change, str]] = {
    "a price of NaN": (put("price_cny_per_kwh", NAN, 3), "price_cny_per_kwh"),
    "a need of NaN": (put("ev_energy_kwh", NAN, 5), "need_kwh"),
    "a base load of NaN": (put("base_kw", NAN, (0, 2)), "base_kw"),
    "an infinite power": (put("ev_p_max_kw", INF, 1), "p_max_kw"),
    "a window turned round": (put("ev_depart", -3, 2), "depart"),
    "a node there is not": (put("bat_transformer", 99, 0), "transformer"),
    "an efficiency above 1": (put("efficiency", 1.5, ()), "efficiency"),
    "a field left out": (drop("ev_depart"), "ev_depart"),
    "a scalar that is a list": (lambda arrays: arrays.update(step_h=np.ones(2)), ""),
    "a field too short": (lambda arrays: arrays.update(ev_energy_kwh=arrays["ev_energy_kwh"][:-1]), "need_kwh"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_makes_no_sense_ends_with_code_2_and_the_name_of_the_field(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, field = REFUSED[case]
    arrays = dict(generated(200, 3))
    change(arrays)
    code, report, told = answered(tmp_path, arrays, capsys)
    assert code == 2
    assert not report
    assert field in told
    assert len(told.splitlines()) == 1


def test_a_file_that_is_no_archive_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "instance.npz"
    for content in (b"", b"not an archive", b"PK\x03\x04 cut off", b"\x93NUMPY"):
        path.write_bytes(content)
        assert run_optimizer(path, out=None, devices=1, seed=0, rivals=False, as_json=True) == 2
        assert "not an instance" in capsys.readouterr().err


ANSWERED: dict[str, Change] = {
    "limits below the base load": below_base,
    "needs above the window": scaled("ev_energy_kwh", 50.0),
    "rows in any order": shuffled,
    "no devices": emptied,
    "negative prices": scaled("price_cny_per_kwh", -1.0),
    "no losses": put("efficiency", 1.0, ()),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_what_is_merely_hard_gets_a_certified_answer(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = dict(generated(200, 3))
    ANSWERED[case](arrays)
    code, report, _ = answered(tmp_path, arrays, capsys)
    assert code == 0
    assert np.isfinite(report["objective_cny"])
    assert report["lower_bound_cny"] <= report["objective_cny"]
    assert report["gap_ratio"] < 0.02
    assert (tmp_path / "out.npz").exists()


def test_the_benchmark_reports_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "day.npz"
    np.savez(path, **instances.generated(400, seed=2))  # type: ignore[arg-type]  # numpy's stub takes no mapping
    code = run_optimizer(path, out=tmp_path / "plan.npz", devices=1, seed=0, rivals=False, as_json=True)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert (tmp_path / "plan.npz").exists()
    fields = ("devices", "cpu_s", "wall_s", "compile_s", "peak_rss_mb", "objective_cny", "lower_bound_cny", "gap_ratio")
    assert set(fields) <= set(report)


def test_the_benchmark_refuses_what_is_no_instance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, something=np.zeros(3))
    assert run_optimizer(path, out=None, devices=1, seed=0, rivals=False, as_json=True) == 2
    assert "not an instance" in capsys.readouterr().err
