"""Chinese forms of the regulation index K: command by command, by rate, precision and response time.

A command begins where the signal moves by more than the dead band from the last one. From the metered response follow
four instants: ``t0`` the command, ``t1`` the response has left the dead band towards it, ``t2`` it has come within the
target band, ``t3`` the next command. Then

    rate       mean rate between t1 and t2, share of the reserved power per minute
    deviation  mean distance from the command between t2 and t3, share of the reserved power
    wait       t1 - t0, seconds

The provinces weigh these three differently, and number them differently: K2 is precision in the north and time in
Hunan.
The constants are defaults found in public code and rules, each to be set to the province's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vpp.domain.telemetry import FloatArray
from vpp.domain.units import SECONDS_PER_MINUTE
from vpp.settlement.regulation_score import PjmScore, RegulationScore, Score, Trace


class Commands(NamedTuple):
    """What was measured of each command, shape ``(k,)`` each; ``depth`` is how far it was moved, share of capacity."""

    rate_per_min: FloatArray
    deviation: FloatArray
    wait_s: FloatArray
    depth: FloatArray


Kinds = Mapping[str, FloatArray]
Judge = Callable[[Commands], tuple[FloatArray, Kinds]]
"""Returns K of every command and the parts it is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgcScore:
    """One province's form of K; the total is the mean over the commands, weighed by their depth.

    Attributes:
        dead_band: Change of the signal that is a new command, and of the response that is an answer; share of capacity.
        target_band: Distance from the command that counts as arrived; share of capacity.
        least: K below which the rule admits no plant.
    """

    name: str
    source: str
    judge: Judge
    dead_band: float = 0.02
    target_band: float = 0.01
    least: float = 0.0

    def score(self, trace: Trace) -> Score:
        """Judge a trace; the last command ends with it."""
        commands = commands_of(trace, dead_band=self.dead_band, target_band=self.target_band)
        if not len(commands.depth):
            return Score(rule=self.name, total=float("nan"), parts={}, qualified=False)
        index, parts = self.judge(commands)
        # Where the response was there before every command, they count alike.
        depth = commands.depth if commands.depth.sum() > 0.0 else np.ones(len(commands.depth))
        weight = depth / depth.sum()
        total = float(index @ weight)
        return Score(
            rule=self.name,
            total=total,
            parts={name: float(values @ weight) for name, values in parts.items()},
            over_time={**parts, "k": index},
            qualified=total >= self.least,
        )


def commands_of(trace: Trace, *, dead_band: float, target_band: float) -> Commands:
    """Return what was measured of every command in a trace.

    Args:
        trace: What was asked and metered.
        dead_band: Share of capacity that is a new command, and an answer to one.
        target_band: Share of capacity within which a command is reached.
    """
    signal, response = trace.signal_kw / trace.capacity_kw, trace.response_kw / trace.capacity_kw
    begins = _begins(signal, response[0], dead_band)
    ends = [*begins[1:], len(signal) - 1] if begins else []
    found = [
        _measured(trace.time_s[a : b + 1], signal[a], response[a : b + 1], dead_band, target_band)
        for a, b in zip(begins, ends, strict=True)
        if b > a
    ]
    table = np.array(found, dtype=np.float64).reshape(-1, 4)
    return Commands(*table.T)


def _begins(signal: FloatArray, start: float, dead_band: float) -> list[int]:
    begins, standing = [], float(start)
    for position, value in enumerate(signal.tolist()):
        if abs(value - standing) > dead_band:
            begins.append(position)
            standing = value
    return begins


def _measured(
    time_s: FloatArray, command: float, response: FloatArray, dead_band: float, target_band: float
) -> tuple[float, float, float, float]:
    """Return rate, deviation, wait and depth of one command that lasts over ``time_s``."""
    from_, way = float(response[0]), command - float(response[0])
    moved = (response - from_) * np.sign(way)
    leaves = _first(moved > dead_band)
    arrives = _first(np.abs(response - command) <= target_band)
    # On a short way it may have arrived before the dead band is left.
    leaves = min(leaves, arrives)
    last = len(time_s) - 1
    t1, t2 = min(leaves, last), min(arrives, last)
    before = max(t1 - 1, 0)
    minutes = max(float(time_s[t2] - time_s[before]), 1e-9) / SECONDS_PER_MINUTE
    rate = max(float(moved[t2] - moved[before]), 0.0) / minutes
    return rate, float(np.abs(response[t2:] - command).mean()), float(time_s[t1] - time_s[0]), abs(way)


def _first(found: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """Return the first position that holds, past the end where none does."""
    return int(np.argmax(found)) if found.any() else len(found)


def _floored(values: FloatArray, most: float = np.inf) -> FloatArray:
    return np.asarray(np.clip(values, 0.1, most))


def _north(*, rate: float, deviation: float, wait_s: float, timed: bool) -> Judge:
    """Return the multiplicative form: each part two less what was needed over what was allowed, at least 0.1."""

    def judge(c: Commands) -> tuple[FloatArray, Kinds]:
        k1 = _floored(2.0 - rate / np.maximum(c.rate_per_min, 1e-9))
        k2 = _floored(2.0 - c.deviation / deviation)
        k3 = _floored(2.0 - c.wait_s / wait_s)
        parts = {"k1_rate": k1, "k2_precision": k2, **({"k3_time": k3} if timed else {})}
        return (k1 * k2 * k3 if timed else k1 * k2), parts

    return judge


def _guangdong(c: Commands) -> tuple[FloatArray, Kinds]:
    k1 = np.minimum(c.rate_per_min / 0.015, 5.0)
    k2 = np.maximum(1.0 - c.wait_s / 300.0, 0.0)
    k3 = np.maximum(1.0 - c.deviation / 0.015, 0.0)
    return 0.25 * (2.0 * k1 + k2 + k3), {"k1_rate": k1, "k2_time": k2, "k3_precision": k3}


def _hunan(c: Commands) -> tuple[FloatArray, Kinds]:
    k1 = np.minimum(c.rate_per_min / 1.0, 3.0)
    k2 = np.maximum(1.0 - c.wait_s / 60.0, 0.0)
    k3 = np.maximum(1.0 - c.deviation / 0.02, 0.0)
    # Paid with at most 2, whatever was measured.
    total = np.minimum(0.4 * k1 + 0.3 * k2 + 0.3 * k3, 2.0)
    return total, {"k1_rate": k1, "k2_time": k2, "k3_precision": k3}


NORTH_CHINA = AgcScore(
    name="north_china",
    source="Kp = K1*K2*K3, each part 2 - needed/allowed and at least 0.1, by public code of the North China rules "
    "(domain.md 2.6); 1.5 % of the power per minute, 1.5 % of the power, 60 s",
    judge=_north(rate=0.015, deviation=0.015, wait_s=60.0, timed=True),
)
JIANGSU = AgcScore(
    name="jiangsu",
    source="K = K1*K2 without a part for time, by a comment in public code of a Jiangsu plant (domain.md 2.6); "
    "constants as in North China",
    judge=_north(rate=0.015, deviation=0.015, wait_s=60.0, timed=False),
)
GUANGDONG = AgcScore(
    name="guangdong",
    source="K = 0.25*(2*K1 + K2 + K3), three independent public codes agree; K1 rate over 1.5 % per minute, at most 5 "
    "as one of them has it for storage, K2 = 1 - wait/5 min, K3 = 1 - deviation/1.5 %: these constants unverified",
    judge=_guangdong,
)
HUNAN = AgcScore(
    name="hunan",
    source="Hunan ancillary service rules of 2025-10-24: K = 0.4*K1 + 0.3*K2 + 0.3*K3, K1 = rate over 100 % per "
    "minute (storage), at most 3, K2 = 1 - wait/60 s, K3 = 1 - deviation/2 %, paid with at most 2, admitted from 0.3",
    judge=_hunan,
    least=0.3,
)
SCORES: Mapping[str, RegulationScore] = {
    rule.name: rule for rule in (PjmScore(), NORTH_CHINA, GUANGDONG, JIANGSU, HUNAN)
}
"""Every rule by its name."""


def judged(trace: Trace) -> dict[str, dict[str, float]]:
    """Return total and parts of every rule by its name, as a report shows them; NaN where nothing could be judged."""
    found = {name: rule.score(trace) for name, rule in SCORES.items()}
    return {name: {"total": score.total, **score.parts} for name, score in found.items()}
