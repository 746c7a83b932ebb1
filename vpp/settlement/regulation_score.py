"""Scores of following a regulation signal: one small interface, several rules behind it.

A rule sees a trace only: when, what was asked, what was metered, and how much was reserved. It answers with a score and
with the parts it is made of, so that a dispute is about numbers. `PjmScore` is here, the Chinese forms of K, which
judge command by command, are in `vpp.settlement.agc_score`; ``SCORES`` has them all by name.

Asked and metered are changes of net load against the base point, both with the same sign, whichever it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vpp.domain.errors import InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_HOUR

_SAMPLE_S = 10.0
_BLOCK_S = 300.0
_SAMPLES = int(_BLOCK_S / _SAMPLE_S)
_FLAT_RATIO = 1e-3
"""A signal that moves by less than this share of the reserved power in five minutes is constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What was asked and what came.

    Attributes:
        time_s: Epoch seconds, rising, shape ``(n,)``.
        signal_kw: Asked change of net load from each instant until the next, shape ``(n,)``.
        response_kw: Metered change at each instant, shape ``(n,)``.
        capacity_kw: Power that is reserved, in each direction.

    Raises:
        InputError: Fewer than two instants, times that do not rise, unknown numbers, or no capacity.
    """

    time_s: FloatArray
    signal_kw: FloatArray
    response_kw: FloatArray
    capacity_kw: float

    def __post_init__(self) -> None:
        shapes = {self.time_s.shape, self.signal_kw.shape, self.response_kw.shape}
        if len(shapes) != 1 or self.time_s.ndim != 1 or len(self.time_s) <= 1:
            raise InputError("Trace", sorted(shapes), "three arrays of one shape (n,) with n above 1")
        for name in ("time_s", "signal_kw", "response_kw"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(name, "NaN or infinite", "finite numbers")
        if not (np.diff(self.time_s) > 0.0).all():
            raise InputError("time_s", "an instant that is not after the one before it", "rising instants")
        if not self.capacity_kw > 0.0:
            raise InputError("capacity_kw", self.capacity_kw, "a power above 0")

    def sampled(self, step_s: float) -> tuple[FloatArray, FloatArray]:
        """Return signal and response every ``step_s`` from the first instant on, each as last known then."""
        count = int((self.time_s[-1] - self.time_s[0]) // step_s) + 1
        at_s = self.time_s[0] + step_s * np.arange(count)
        last = np.searchsorted(self.time_s, at_s, side="right") - 1
        return self.signal_kw[last], self.response_kw[last]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """An answer; NaN where there was too little to judge.

    Attributes:
        rule: Name of the rule.
        total: The score that money follows.
        parts: What it is made of, by name.
        over_time: The same per block or command, by name, shape ``(k,)`` each.
        qualified: Whether the rule pays at all.
    """

    rule: str
    total: float
    parts: Mapping[str, float]
    over_time: Mapping[str, FloatArray] = field(default_factory=dict)
    qualified: bool = True


class RegulationScore(Protocol):
    """A rule that judges how a signal was followed."""

    @property
    def name(self) -> str:
        """Name of the rule, as in ``SCORES``."""
        ...

    @property
    def source(self) -> str:
        """Where the rule comes from."""
        ...

    def score(self, trace: Trace) -> Score:
        """Judge a trace."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PjmScore:
    """PJM's performance score: correlation, delay and precision, a third each.

    Five minutes of signal are compared with the response 0 to 300 s later, every 10 s. Correlation is the greatest of
    these coefficients, delay how soon it comes, 1 at once and 0 after five minutes. Precision is one less the mean
    distance, in units of the hour's mean signal. Hours are means of their blocks, at least 0; the total is the mean of
    the hours.

    Attributes:
        least: An hour below it forfeits its credit.
    """

    name: str = "pjm"
    source: str = (
        "PJM Manual 12, section 4.5.6, as implemented in GMLC-1-4-2/battery_interface "
        "src/fleets/battery_inverter_fleet/trad_reg_service.py; forfeit below 0.25 by Manual 11, 3.2.10"
    )
    least: float = 0.25

    def score(self, trace: Trace) -> Score:
        """Judge a trace; what is left of the last five minutes is not judged."""
        signal, response = trace.sampled(_SAMPLE_S)
        blocks = len(signal) // _SAMPLES
        hour_of = (np.arange(blocks) * _BLOCK_S // SECONDS_PER_HOUR).astype(np.int64)
        judged = {name: np.full(blocks, np.nan) for name in ("correlation", "delay", "precision")}
        for block in range(blocks):
            begin = block * _SAMPLES
            flat_kw = _FLAT_RATIO * trace.capacity_kw
            match, shift = _best_match(signal[begin : begin + _SAMPLES], response[begin:], flat_kw)
            judged["correlation"][block], judged["delay"][block] = match, 1.0 - shift / (_SAMPLES * 1.0)
        judged["precision"][:] = _precision(signal, response, hour_of)
        return _scored(self.name, judged, hour_of, self.least)


def _best_match(signal: FloatArray, response: FloatArray, flat_kw: float) -> tuple[float, int]:
    """Return the greatest correlation, at least 0, and how many samples later it is found."""
    if np.ptp(signal) <= flat_kw:
        return _slope_match(signal, response[: len(signal)]), 0
    shifts = min(_SAMPLES, len(response) - len(signal)) + 1
    windows = np.lib.stride_tricks.sliding_window_view(response, len(signal))[:shifts]
    ours, theirs = signal - signal.mean(), windows - windows.mean(axis=1, keepdims=True)
    norms = np.sqrt((theirs**2).sum(axis=1) * (ours**2).sum())
    found = np.where(norms > 0.0, theirs @ ours / np.where(norms > 0.0, norms, 1.0), 0.0)
    best = int(np.argmax(np.round(found, 12)))
    return (max(float(found[best]), 0.0), best) if found[best] > 0.0 else (0.0, _SAMPLES)


def _slope_match(signal: FloatArray, response: FloatArray) -> float:
    """Return the match of a constant signal: one less the difference of the slopes over the block."""
    scale = float(np.abs(signal).mean())
    if scale == 0.0:
        return 1.0 if np.ptp(response) == 0.0 else 0.0
    at = np.linspace(0.0, 1.0, len(signal))
    slopes = np.polyfit(at, np.stack([signal, response], axis=1) / scale, 1)[0]
    return max(0.0, 1.0 - abs(float(slopes[1] - slopes[0])))


def _precision(
    signal: FloatArray, response: FloatArray, hour_of: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> FloatArray:
    """Return the precision of every block, at most 1; below 0 where the answer was worse than none."""
    blocks = len(hour_of)
    shape = (blocks, _SAMPLES)
    asked = signal[: blocks * _SAMPLES].reshape(shape)
    apart = np.abs(response[: blocks * _SAMPLES].reshape(shape) - asked).mean(axis=1)
    counts = np.bincount(hour_of)
    mean = (np.bincount(hour_of, weights=np.abs(asked).mean(axis=1)) / counts)[hour_of] if blocks else apart
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(apart == 0.0, 0.0, apart / mean)
    return np.asarray(1.0 - ratio)


def _scored(
    rule: str, judged: dict[str, FloatArray], hour_of: np.ndarray[tuple[int], np.dtype[np.int64]], least: float
) -> Score:
    if not len(hour_of):
        return Score(rule=rule, total=float("nan"), parts=dict.fromkeys(judged, float("nan")), qualified=False)
    counts = np.bincount(hour_of)
    means = {name: np.bincount(hour_of, weights=values) / counts for name, values in judged.items()}
    hours = {name: np.maximum(values, 0.0) for name, values in means.items()}
    hourly = np.mean(list(hours.values()), axis=0)
    return Score(
        rule=rule,
        total=float(hourly.mean()),
        parts={name: float(values.mean()) for name, values in hours.items()},
        over_time={**judged, "hour": hourly},
        qualified=bool((hourly >= least).all()),
    )
