"""``vpp bench quote``: complete quotes over a whole city, for drafts that have little in common."""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import orjson
from rich.console import Console
from rich.progress import track

from optimizer.heap import keep_freed_memory
from vpp.domain.request import CITY, Direction, NoticeClass, Product, RequestDraft
from vpp.domain.schedule import Schedule
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import TimeGrid, instant
from vpp.fleet.fleet_state import FleetState
from vpp.lab.bench.synthetic_city import City, CityMeter, city, plan_of, snapshot
from vpp.planning.forecast.load_forecast import Forecast, forecast
from vpp.planning.forecast.load_history import LoadHistory
from vpp.planning.quote.quote_cache import QuoteCache

DRAFTS = 48
_REFRESH = 8
"""Drafts quoted on one snapshot; then the next is taken, as every minute in the service."""
_HISTORY_DAYS = 4
_WARM_ROWS = 2_000
_RATIO = 0.95


def run_quote(*, devices: int, seed: int, as_json: bool) -> int:
    """Quote ``DRAFTS`` seeded drafts; a snapshot is taken every eighth, whose time counts for that draft."""
    console = Console(stderr=True)
    keep_freed_memory()
    _warm_up()
    console.print(f"building a city of {devices} rows")
    made = city(devices)
    state = snapshot(made, seed=seed)
    predicted, forecast_cpu_s, again_cpu_s = _forecast(made, state, seed)
    plan = plan_of(state, predicted)
    drafts = list(drafts_of(made, state, seed))
    warm, cold = [], []
    cache = QuoteCache()
    for number, draft in enumerate(track(drafts, description="quoting", console=console)):
        if number % _REFRESH == 0:
            cache = QuoteCache()
        warm.append(_asked(cache, draft, state, predicted, plan))
        if number % _REFRESH:
            cold.append(_asked(QuoteCache(), draft, state, predicted, plan))
        else:
            cold.append(warm[-1])
    declare_cpu_s = _declared(cache, state, predicted, plan)
    body = {
        "devices": len(made.index),
        "wall_s_p50": float(np.quantile(warm, 0.5)),
        "wall_s_p95": float(np.quantile(warm, 0.95)),
        "wall_s_cold_p95": float(np.quantile(cold, 0.95)),
        "drafts": len(drafts),
        "forecast_cpu_s": again_cpu_s,
        "forecast_first_cpu_s": forecast_cpu_s,
        "declare_cpu_s": declare_cpu_s,
    }
    sys.stdout.write(orjson.dumps(body).decode() + "\n" if as_json else _table(body))
    return 0


def drafts_of(made: City, state: FleetState, seed: int, *, count: int = DRAFTS) -> Iterator[RequestDraft]:
    """Yield seeded drafts: any area, window, target, ramp, rebound cap and direction."""
    random = np.random.default_rng(seed)
    connected_kw = float(np.nansum(np.abs(state.power_kw)))
    areas = [CITY, *(area.id for area in made.index.areas)]
    for number in range(count):
        whole = number % 2 == 0
        area = CITY if whole else areas[int(random.integers(1, len(areas)))]
        size = connected_kw * (1.0 if whole else 1.0 / (len(areas) - 1)) * float(10.0 ** random.uniform(-2.5, -0.1))
        start_at = instant(state.at_s + 900.0 * float(random.integers(1, 80)))
        up = random.random() < 0.6  # noqa: PLR2004 - a little more cuts than raises
        yield RequestDraft(
            product=Product.PEAK_SHAVING if up else Product.VALLEY_FILLING,
            direction=Direction.UP if up else Direction.DOWN,
            target_kw=size,
            area=area,
            start_at=start_at,
            end_at=start_at + timedelta(minutes=15.0 * float(random.integers(1, 17))),
            notice_class=NoticeClass.INTRADAY,
            ramp_minutes=float(random.integers(1, 30)) if random.random() < 0.5 else None,  # noqa: PLR2004 - half
            rebound_cap_kw=0.1 * size if random.random() < 0.4 else None,  # noqa: PLR2004 - two in five
            min_delivered_ratio=float(random.choice([0.0, 0.8])),
        )


def _asked(cache: QuoteCache, draft: RequestDraft, state: FleetState, predicted: Forecast, plan: Schedule) -> float:
    began = time.perf_counter()
    cache.quote(
        draft,
        state=state,
        forecast=predicted,
        schedule=plan,
        delivery_ratio=lambda: np.full(len(state), _RATIO),
        committed_kw=np.zeros(predicted.grid.count),
        now=instant(state.at_s),
    )
    return time.perf_counter() - began


def _forecast(made: City, state: FleetState, seed: int) -> tuple[Forecast, float, float]:
    """Return the forecast, and the CPU seconds of the first one and of the next, without drawing the history."""
    meter, past = _Timed(CityMeter(made=made, seed=seed)), LoadHistory(days=_HISTORY_DAYS)
    spent = []
    for _ in range(2):
        began, drawing = time.process_time(), meter.cpu_s
        predicted = forecast(state, meter, load_history=past)
        spent.append(time.process_time() - began - (meter.cpu_s - drawing))
    return predicted, spent[0], spent[1]


class _Timed:
    """A meter that counts the CPU time of drawing its readings."""

    def __init__(self, meter: CityMeter) -> None:
        self._meter = meter
        self.cpu_s = 0.0

    def read(self, grid: TimeGrid) -> FloatArray:
        """Return mean net power, shape ``(n_resources, grid.count)``."""
        began = time.process_time()
        values = self._meter.read(grid)
        self.cpu_s += time.process_time() - began
        return values


def _declared(cache: QuoteCache, state: FleetState, predicted: Forecast, plan: Schedule) -> float:
    began = time.process_time()
    cache.declaration(
        state=state, forecast=predicted, schedule=plan, delivery_ratio=lambda: np.full(len(state), _RATIO), steps=96
    )
    return time.process_time() - began


def _warm_up() -> None:
    """Compile or load every kernel on a small city, as in a running service."""
    made = city(_WARM_ROWS)
    state = snapshot(made)
    predicted = forecast(state, CityMeter(made=made), load_history=LoadHistory(days=2))
    plan = plan_of(state, predicted)
    for draft in drafts_of(made, state, 1, count=12):
        _asked(QuoteCache(), draft, state, predicted, plan)
    _declared(QuoteCache(), state, predicted, plan)


def _table(body: dict[str, float]) -> str:
    return "\n".join(f"{name:>22}  {value:.4g}" for name, value in body.items()) + "\n"
