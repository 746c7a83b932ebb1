"""``vpp bench dispatch``: a day of regulation at 4 s, ±300 MW in a city of 276,000 rows, smaller fleets in proportion.

CPU time of one thread is measured. ``tick_ms`` is the allocation of a new target; every tick a fifteenth of the rows is
assessed again, which is ``refresh_ms``, and ``cycle_ms`` is both. The alternative splits the same targets with the same
keys and limits on the same states of the fleet, in four stretches of the day.
"""

import sys
import time
from dataclasses import dataclass, field

import numpy as np
import orjson
from rich.console import Console
from rich.progress import Progress

from optimizer.heap import keep_freed_memory
from optimizer.problem.validation import FloatArray
from optimizer.tracking.merit_order import warm_up
from vpp.lab.bench.regulation.city import City, planned_city
from vpp.lab.bench.regulation.day import DAY_S, TICK_S, DayRecord, RegulationLoop
from vpp.lab.bench.regulation.proportional_split import ProportionalSplit
from vpp.settlement.agc_score import SCORES

_TICKS = round(DAY_S / TICK_S)
_STRETCH_TICKS, _STRETCHES = 40, 4
_WARM_ROWS, _WARM_TICKS = 400, 20


def run_dispatch(*, devices: int, seed: int, as_json: bool) -> int:
    """Plan a day, follow a signal through it, and print cost and quality."""
    console = Console(stderr=True)
    keep_freed_memory()
    began, cpu = time.perf_counter(), time.process_time()
    console.print("compiling")
    warm_up()
    small = planned_city(_WARM_ROWS, seed=1)
    warm = RegulationLoop(small, seed=1)
    warm.run(_WARM_TICKS, PeerComparison(warm, range(2)).observe)
    compile_s = time.process_time() - cpu
    console.print(f"planning {devices} rows")
    city = planned_city(devices, seed=seed)
    loop = RegulationLoop(city, seed=seed)
    stretches = _TICKS // _STRETCHES
    peer = PeerComparison(
        loop, {t for s in range(_STRETCHES) for t in range(s * stretches + 1000, s * stretches + 1000 + _STRETCH_TICKS)}
    )
    followed = time.process_time()
    record = _followed(loop, peer, console)
    body = {
        **_result(city, record),
        **peer.result(),
        "plan_cpu_s": city.plan_cpu_s,
        "plan_gap_ratio": city.gap_ratio,
        "follow_cpu_s": time.process_time() - followed,
        "compile_s": compile_s,
        "wall_s": time.perf_counter() - began,
    }
    body["tick_ratio"] = body["alternative_ms_p50"] / body["cycle_ms_p50"]
    body["setpoints_ratio"] = body["alternative_setpoints_per_tick_ratio"] / body["setpoints_per_tick_ratio"]
    sys.stdout.write(orjson.dumps(body).decode() + "\n" if as_json else _table(body))
    return 0


def _followed(loop: RegulationLoop, peer: "PeerComparison", console: Console) -> DayRecord:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("following", total=_TICKS)

        def observe(tick: int) -> None:
            peer.observe(tick)
            if tick % 100 == 0:
                progress.update(task, completed=tick)

        return loop.run(_TICKS, observe)


@dataclass(slots=True)
class PeerComparison:
    """The alternative beside the loop, in some of its ticks.

    Attributes:
        loop: The loop compared with.
        ticks: Ticks in which the alternative runs as well.
    """

    loop: RegulationLoop
    ticks: "set[int] | range"
    split: ProportionalSplit = field(init=False)
    cost_ms: list[float] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        city = self.loop.city
        self.split = ProportionalSplit(node=city.devices.node, parent=city.parent)

    def observe(self, tick: int) -> None:
        """Split the tick's target, if it is one of those."""
        if tick not in self.ticks:
            return
        loop, now_s = self.loop, tick * TICK_S
        city = loop.city
        target_kw = float(np.nansum(loop.order.power_kw))
        self.split.limit(upper_kw=city.limit_kw, fixed_kw=city.fixed_kw[loop.step_of(now_s)])
        began = time.thread_time_ns()
        loop.assess(np.arange(len(city)), now_s)
        changed = self.split.split(loop.offers, target_kw)
        took_ms = (time.thread_time_ns() - began) / 1e6
        # The first of a stretch has no state to start from.
        if tick - 1 in self.ticks:
            self.cost_ms.append(took_ms)
            self.changed.append(changed)

    def result(self) -> dict[str, float]:
        """Return its cost."""
        rows = len(self.loop.city)
        return {
            "alternative_ms_p50": _percentile(self.cost_ms, 50.0),
            "alternative_ms_p99": _percentile(self.cost_ms, 99.0),
            "alternative_setpoints_per_tick_ratio": float(np.mean(self.changed)) / rows if self.changed else 0.0,
        }


def _result(city: City, record: DayRecord) -> dict[str, float]:
    cost = np.array(record.cost)
    changed = np.array(record.changed) / len(city)
    scores = {name: rule.score(record.trace(city)) for name, rule in SCORES.items()}
    asked = float(np.sqrt(np.mean(np.square(record.asked_kw))))
    body: dict[str, float] = {"devices": len(city)}
    for name, values in (("tick", cost[:, 0]), ("refresh", cost[:, 1]), ("cycle", cost.sum(axis=1))):
        body[f"{name}_ms_p50"] = _percentile(values, 50.0)
        body[f"{name}_ms_p99"] = _percentile(values, 99.0)
    return {
        **body,
        "setpoints_per_tick_ratio": float(changed.mean()),
        "setpoints_per_tick_ratio_p99": _percentile(changed, 99.0),
        "missed_departures": record.departures_missed,
        "missed_kwh": record.shortfall_kwh,
        "cap_violation_kw": max(record.over_kw, 0.0),
        "pjm_score": scores["pjm"].total,
        **{f"pjm_{name}": value for name, value in scores["pjm"].parts.items()},
        "pjm_worst_hour": float(scores["pjm"].over_time["hour"].min()),
        **{f"k_{name}": score.total for name, score in scores.items() if name != "pjm"},
        "asked_kw": record.asked_most_kw,
        "declared_kw_mean": float(np.mean(record.held_kw)),
        "declared_kw_least": float(np.min(record.held_kw)),
        "error_ratio_rms": float(np.sqrt(np.mean(np.square(record.error_kw)))) / asked if asked else 0.0,
    }


def _percentile(values: "FloatArray | list[float]", percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _table(body: dict[str, float]) -> str:
    return "\n".join(f"{name:>38}  {value:.6g}" for name, value in body.items()) + "\n"
