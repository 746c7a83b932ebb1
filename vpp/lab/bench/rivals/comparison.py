"""Comparison of solvers: every contender has the same file, a process of its own and one thread."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vpp.lab.bench import instance as instances

GAP_RATIO = 5e-4
LIMIT_S = 120.0
_GRACE_S = 60.0
_ROOT = Path(__file__).parents[4]
"""Folder of the packages, from which the rivals' own environment reads their modules."""
_ENVIRONMENT = Path(".venv-rivals")
_MISSING = "not installed: make rivals"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Case = Literal["all", "cars"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One contender.

    Attributes:
        name: For the table.
        run: The module that runs it.
        choice: Its second argument.
        case: ``"all"`` for the whole instance, ``"cars"`` for charge-only cars behind one limit.
        most: Greatest number of devices it is tried with; more would take too long.
        home: The environment that runs it.
    """

    name: str
    run: str
    choice: str
    case: Case
    most: int
    home: Literal["service", "rivals"]


OURS = tuple(
    Rival(name="ours", run="vpp.lab.bench.rivals.ours", choice=str(GAP_RATIO), case=case, most=10**9, home="service")
    for case in ("all", "cars")
)
RIVALS = (
    Rival(
        name="HiGHS simplex",
        run="vpp.lab.bench.rivals.by_arrays",
        choice="simplex",
        case="all",
        most=5_000,
        home="service",
    ),
    Rival(name="HiGHS ipm", run="vpp.lab.bench.rivals.by_arrays", choice="ipm", case="all", most=5_000, home="service"),
    Rival(
        name="HiGHS hipo", run="vpp.lab.bench.rivals.by_arrays", choice="ipm", case="all", most=20_000, home="rivals"
    ),
    Rival(name="Pyomo", run="vpp.lab.bench.rivals.by_pyomo", choice="choose", case="all", most=5_000, home="service"),
    Rival(name="linopy", run="vpp.lab.bench.rivals.by_linopy", choice="ipm", case="all", most=5_000, home="rivals"),
    Rival(
        name="FlexMeasures",
        run="vpp.lab.bench.rivals.by_flexmeasures",
        choice="highspy",
        case="cars",
        most=1_000,
        home="rivals",
    ),
    Rival(
        name="FlexMeasures, Pyomo",
        run="vpp.lab.bench.rivals.by_flexmeasures",
        choice="appsi_highs",
        case="cars",
        most=200,
        home="rivals",
    ),
)


def compare(
    sizes: Sequence[int], *, seed: int = 0, limit_s: float = LIMIT_S, environment: Path = _ENVIRONMENT
) -> list[dict[str, object]]:
    """Return a row for every rival at every size it is tried with, after one of ours on the same instance.

    Args:
        sizes: Charging points.
        seed: Of the instances.
        limit_s: Seconds each may take.
        environment: Folder of the environment made by ``make rivals``.

    Returns:
        Rows with ``rival``, ``case``, ``devices``, ``cpu_s``, ``objective_cny``, ``peak_rss_mb``, ``ratio`` (its CPU
        seconds over ours; ``None`` without an answer) and ``note``.
    """
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            whole = instances.generated(size, seed)
            for own in OURS:
                arrays = whole if own.case == "all" else cars_behind_one_limit(whole)
                path = Path(folder) / f"{own.case}.npz"
                np.savez(path, **arrays)  # type: ignore[arg-type]  # the stub takes a name of savez's own for one of ours
                contenders = [own, *(r for r in RIVALS if r.case == own.case and size <= r.most)]
                rows += _raced(contenders, path, devices=size, limit_s=limit_s, environment=environment)
    return rows


def cars_behind_one_limit(arrays: instances.Arrays) -> instances.Arrays:
    """Return the part of an instance that a single-site scheduler can express."""
    sums = {name: arrays[name].sum(axis=0, keepdims=True) for name in ("transformer_limit_kw", "base_kw")}
    nobody = {name: values[:0] for name, values in arrays.items() if name.startswith("bat_")}
    return {
        **arrays,
        **nobody,
        **sums,
        "pv_available_kw": np.zeros_like(sums["base_kw"]),
        "reg_price_cny_per_kw_h": np.zeros_like(arrays["reg_price_cny_per_kw_h"]),
        "ev_transformer": np.zeros_like(arrays["ev_transformer"]),
    }


def _raced(
    contenders: Sequence[Rival], path: Path, *, devices: int, limit_s: float, environment: Path
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for rival in contenders:
        sys.stderr.write(f"{rival.name}, {devices} devices\n")
        found = _run(rival, path, limit_s=limit_s, environment=environment)
        rows.append({"rival": rival.name, "case": rival.case, "devices": devices, **found})
    ours = rows[0]["cpu_s"]
    for row in rows:
        seconds = row["cpu_s"] if row["objective_cny"] is not None else None
        row["ratio"] = None
        if isinstance(seconds, float) and isinstance(ours, float) and ours > 0.0:
            row["ratio"] = round(seconds / ours, 1)
    return rows


def _run(rival: Rival, path: Path, *, limit_s: float, environment: Path) -> dict[str, object]:
    """Return the report of a contender, or the reason why there is none."""
    python = Path(sys.executable) if rival.home == "service" else environment / "bin" / "python"
    if not python.exists():
        return _without(_MISSING)
    command = [str(python), "-m", rival.run, str(path), rival.choice, str(limit_s)]
    single = {**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONPATH": str(_ROOT)}
    try:
        done = subprocess.run(  # noqa: S603 - our own modules
            command, env=single, capture_output=True, text=True, timeout=limit_s + _GRACE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return _without(f"no answer in {limit_s + _GRACE_S:g} s")
    lines = done.stdout.strip().splitlines()
    with contextlib.suppress(ValueError):
        if done.returncode == 0 and lines:
            return _rounded(json.loads(lines[-1]))
    if "ModuleNotFoundError" in done.stderr and rival.home == "rivals":
        return _without(_MISSING)
    return _without((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])


def _rounded(found: dict[str, object]) -> dict[str, object]:
    objective, seconds, memory = found["objective_cny"], found["cpu_s"], found["peak_rss_mb"]
    known = isinstance(objective, float) and np.isfinite(objective)
    return {
        "cpu_s": round(float(str(seconds)), 3),
        "objective_cny": objective if known else None,
        "peak_rss_mb": round(float(str(memory)), 1),
        "note": found["note"],
    }


def _without(note: str) -> dict[str, object]:
    return {"cpu_s": None, "objective_cny": None, "peak_rss_mb": None, "note": note}
