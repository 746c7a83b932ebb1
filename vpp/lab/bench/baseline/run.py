"""Run of ``vpp bench baseline``: play days, draw calls, judge every method on every class."""

import math
import sys
from collections.abc import Sequence
from datetime import date, timedelta

import orjson
from rich.console import Console
from rich.progress import track

from vpp.domain.request import BaselineMethod
from vpp.domain.resource import ResourceClass
from vpp.lab.bench.baseline.calls import RAISE_RATIO, WARM_UP_DAYS, drawn_calls
from vpp.lab.bench.baseline.judgement import Judged, judge
from vpp.lab.bench.baseline.played_days import bench_fleet, play
from vpp.lab.twin.environment.environment import weather_of
from vpp.lab.twin.environment.world_file import world
from vpp.settlement.baselines.method_choice import OFFERED, OWN_METERS, SHIPPED
from vpp.settlement.baselines.methods.evidence import Need
from vpp.settlement.baselines.methods.registry import METHODS

FIRST_DAY = date(2026, 6, 1)
BAR = 0.01
"""Bias and gaming gain that a default should not exceed."""
_GIVEN = frozenset({Need.PLAN, Need.SESSIONS})
NOT_JUDGED = (
    "schedule, stored_schedule: storage and V2G fall back to the plan itself; session, roof_yield: nothing is commanded"
    " here, so the meter of each session or roof is its own truth, see settled against true in vpp simulate"
)


def run_baseline(*, days: int, first: date | None, sites: int, world_name: str, seed: int, as_json: bool) -> int:
    """Judge every method that meters and weather suffice for; return 0."""
    console, first = Console(stderr=True), first or FIRST_DAY
    played_world = world(world_name)
    sky = weather_of(played_world, seed=seed)
    dates = [first + timedelta(days=n) for n in range(WARM_UP_DAYS + days)]
    played = play(
        bench_fleet(sites),
        dates,
        seed=seed,
        world=played_world,
        weather=sky,
        shown=lambda shown: track(shown, description="playing days", console=console),
    )
    pairs = [(name, method) for name in played for method in METHODS.values() if not method.needs & _GIVEN]
    calls = list(drawn_calls(dates, seed))
    found = [
        judge(name, method, played[name], calls, seed=seed)
        for name, method in track(pairs, description="judging", console=console)
    ]
    body = report(found, title=f"{played_world.title}, nobody called; weather: {sky.source}", days=days)
    body |= {"seed": seed, "first_day": first.isoformat(), "calls": len(calls)}
    sys.stdout.write(orjson.dumps(body).decode() + "\n" if as_json else _table(body))
    return 0


def report(found: Sequence[Judged], *, title: str, days: int) -> dict[str, object]:
    """Return the figures of every class and method, the best of each class first.

    The winner of a class is the best of those that a programme may name; others need what is not known at acceptance.
    """
    best = {name: min(map(_rank, (one for one in found if one.resource_class == name))) for name in _classes(found)}
    ordered = sorted(found, key=lambda one: (one.resource_class, one.score, one.method))
    return {
        "world": title,
        "days": days,
        "raised_ratio": RAISE_RATIO,
        "bar_ratio": BAR,
        "not_judged": NOT_JUDGED,
        "results": [_row(one, winner=_rank(one) == best[one.resource_class]) for one in ordered],
    }


def _rank(one: Judged) -> float:
    """Return the score of a method that a programme may name, infinity for the others."""
    named = {method.value for method in (*OFFERED, *OWN_METERS[ResourceClass.HVAC])}
    return one.score if one.method in named else math.inf


def _classes(found: Sequence[Judged]) -> set[str]:
    return {judged.resource_class for judged in found}


def _row(one: Judged, *, winner: bool) -> dict[str, object]:
    defaults = {cls.value: method for cls, method in SHIPPED.usual.items()}
    return {
        "class": one.resource_class,
        "method": one.method,
        "bias_ratio": _known(one.bias_ratio),
        "rrmse_ratio": _known(one.rrmse_ratio),
        "gaming_gain_ratio": _known(one.gaming_gain_ratio),
        "gain_by_game_ratio": {game.value: _known(gain) for game, gain in one.gain_ratio.items()},
        "calls": one.calls,
        "default": defaults.get(one.resource_class, BaselineMethod.AUTOMATIC).value == one.method,
        "winner": winner and bool(one.calls) and math.isfinite(_rank(one)),
        "within_bars": bool(one.calls and abs(one.bias_ratio) < BAR and one.gaming_gain_ratio <= BAR),
        "needs": sorted(need.value for need in METHODS[one.method].needs),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _table(body: dict[str, object]) -> str:
    lines = [f"world: {body['world']}", ""]
    lines.append(f"{'class':>9}  {'method':<26}{'bias':>9}{'rrmse':>9}{'gain':>9}  marks")
    rows = body["results"]
    assert isinstance(rows, list)  # noqa: S101 - made above
    for row in rows:
        figures = "".join(f"{_percent(row[name]):>9}" for name in ("bias_ratio", "rrmse_ratio", "gaming_gain_ratio"))
        marks = [name for name in ("default", "winner", "within_bars") if row[name]]
        lines.append(f"{row['class']:>9}  {row['method']:<26}{figures}  {', '.join(marks)}")
    return "\n".join([*lines, "", str(body["not_judged"]), ""])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
