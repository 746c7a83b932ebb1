"""``vpp bench optimizer``: plan of one day of a fleet, with its certified optimality gap."""

import json
import math
import resource
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from optimizer.decomposition.search import Progress
from optimizer.decomposition.solve import decompose
from optimizer.decomposition.warmup import warm_up
from optimizer.heap import keep_freed_memory
from optimizer.problem.validation import ProblemError
from vpp.lab.bench import instance as instances

GAP_RATIO = 5e-4
DEADLINE_S = 600.0
RIVAL_SIZES = (100, 1_000, 5_000)


def run_optimizer(
    instance: Path | None, *, out: Path | None, devices: int, seed: int, rivals: bool, as_json: bool
) -> int:
    """Solve ``instance``, or a generated one, and report; return the exit code.

    Args:
        instance: Reference instance, npz.
        out: Where to write the solution, npz.
        devices: Charging points of a generated instance.
        seed: Its seed.
        rivals: Also solve small instances with other tools.
        as_json: End with one JSON object on standard output.
    """
    keep_freed_memory()
    try:
        arrays = instances.read(instance) if instance is not None else instances.generated(devices, seed)
        problem = instances.problem_of(arrays)
    except (ProblemError, KeyError, IndexError, TypeError, ValueError, OSError) as error:
        sys.stderr.write(f"{instance}: not an instance: {error}\n")
        return 2
    del arrays
    compile_s = warm_up()
    sys.stderr.write(f"kernels ready after {compile_s:.1f} s\n")
    cpu, wall = time.process_time(), time.perf_counter()
    solution = decompose(problem, deadline_s=DEADLINE_S, gap_ratio=GAP_RATIO, progress=_tell)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if out is not None:
        instances.write_solution(out, problem, solution)
    report: dict[str, object] = {
        "devices": len(problem.charging) + len(problem.storing),
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "compile_s": round(compile_s, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1),
        "objective_cny": solution.objective_cny,
        "lower_bound_cny": solution.lower_bound_cny,
        "gap_ratio": solution.gap_ratio,
    }
    if rivals:
        from vpp.lab.bench.rivals import compare  # noqa: PLC0415 - heavy, and only asked for here

        report["rivals"] = compare(RIVAL_SIZES)
    _print(report, as_json=as_json)
    return 0


def _tell(progress: Progress) -> None:
    gap = "not proven yet" if math.isinf(progress.gap_ratio) else f"{100.0 * progress.gap_ratio:.4f} %"
    sys.stderr.write(f"sweep {progress.sweeps:3d}  {progress.wall_s:6.1f} s  gap {gap}\n")
    sys.stderr.flush()


def _print(report: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    table = Table("measure", "value")
    for name, value in report.items():
        if name != "rivals":
            table.add_row(name, f"{value:,.6g}" if isinstance(value, float) else str(value))
    console = Console()
    console.print(table)
    rivals = report.get("rivals")
    if isinstance(rivals, list) and rivals:
        others = Table(*rivals[0])
        for row in rivals:
            others.add_row(*(str(value) for value in row.values()))
        console.print(others)
