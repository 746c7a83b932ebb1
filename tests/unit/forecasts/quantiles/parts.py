"""A small panel with a daily shape, for the tests of forecasters."""

import numpy as np

from forecasts.panel.panel import Panel


def daily_panel(days: int = 70, *, series: int = 3, seed: int = 1, capacity: float = 12.0) -> Panel:
    """Return hourly series of a daily shape with noise, sizes 1, 2, 3 …, weekends at half."""
    rng = np.random.default_rng(seed)
    steps = days * 24
    hour, day = np.arange(steps) % 24, np.arange(steps) // 24
    shape = np.clip(np.sin((hour - 6) / 12.0 * np.pi), 0.0, None) * np.where((day + 3) % 7 >= 5, 0.5, 1.0)
    size = 1.0 + np.arange(series)
    value = (shape[:, None] * size * rng.lognormal(0.0, 0.2, (steps, series))).astype(np.float32)
    return Panel(
        series=tuple(f"s{number}" for number in range(series)),
        zone=np.zeros(series, dtype=np.int64),
        start_s=0,
        step_s=3600,
        recorded=value,
        value=value,
        known_from=np.repeat(np.arange(1, steps + 1)[:, None], series, axis=1),
        live={"arrivals": np.round(value)},
        live_from=np.repeat(np.arange(1, steps + 1)[:, None], series, axis=1),
        capacity=np.full((steps, series), capacity, dtype=np.float32),
        listed=np.ones((steps, series), dtype=np.bool_),
    )
