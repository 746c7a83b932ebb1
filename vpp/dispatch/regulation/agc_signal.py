"""Regulation signals of the grid (AGC), request by request: taken once, in order, and never trusted for long.

Pure like the rest of the fast loop: ``now_s`` comes in, what was taken goes out through ``record`` before it counts,
and feeding these entries back rebuilds the signals.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vpp.dispatch.record import Record
from vpp.domain.errors import ConflictError, InputError
from vpp.domain.telemetry import FloatArray
from vpp.domain.timegrid import instant
from vpp.record.entry import JournalEntry
from vpp.record.state_codec import StateTree

SIGNAL = "regulation.signal"
_SAME_KW = 1e-6
_YEAR_2100_S = 4_102_444_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRules:
    """Rules of signals: which values are taken, and for how long each counts.

    Attributes:
        stale_s: A value that comes later than this after its time is refused.
        silence_s: Time for which the last value holds when no further one comes.
        fade_s: Time in which it then fades to 0: without a signal the base point is what is safe.
    """

    stale_s: float = 30.0
    silence_s: float = 60.0
    fade_s: float = 60.0


@dataclass(slots=True)
class _Line:
    """One request's values; lists of one length."""

    at_s: list[float] = field(default_factory=list)
    target_kw: list[float] = field(default_factory=list)


class AgcSignals:
    """Values of the signal by request.

    Args:
        record: Takes the journal entries.
        rules: Of the signals.
    """

    def __init__(self, record: Record, rules: SignalRules | None = None) -> None:
        self._record = record
        self._rules = rules or SignalRules()
        self._lines: dict[str, _Line] = {}

    def take(
        self, request_id: str, at_s: FloatArray, target_kw: FloatArray, *, capacity_kw: float, now_s: float
    ) -> int:
        """Take values and return how many were new; all or nothing. What was taken before may be sent again.

        Args:
            request_id: An accepted regulation request.
            at_s: Epoch seconds from which each holds, rising, shape ``(k,)``.
            target_kw: Change asked, positive where net load is to fall, shape ``(k,)``.
            capacity_kw: Power reserved in each direction.
            now_s: The present.

        Raises:
            InputError: Unknown numbers, times that do not rise, or more than was reserved.
            ConflictError: A value is stale, or another was taken for its time or a later one.
        """
        self._check(at_s, target_kw, capacity_kw)
        line = self._lines.setdefault(request_id, _Line())
        fresh = [(at, kw) for at, kw in zip(at_s.tolist(), target_kw.tolist(), strict=True) if not _known(line, at, kw)]
        if fresh:
            self._check_fresh(line, fresh[0][0], now_s)
            body = {"id": request_id, "at_s": [at for at, _ in fresh], "target_kw": [kw for _, kw in fresh]}
            self._record(SIGNAL, now_s, body)
            self._add(body)
        return len(fresh)

    def due_kw(self, request_id: str, now_s: float) -> float:
        """Return the change that is due at ``now_s``, positive where net load is to fall; 0 without a signal."""
        line = self._lines.get(request_id)
        last = -1 if line is None else bisect_right(line.at_s, now_s) - 1
        if line is None or last < 0:
            return 0.0
        silent_s = now_s - line.at_s[last] - self._rules.silence_s
        return line.target_kw[last] * min(max(1.0 - silent_s / self._rules.fade_s, 0.0), 1.0)

    def last_at_s(self, request_id: str) -> float:
        """Return the time of the last value taken, NaN for none."""
        line = self._lines.get(request_id)
        return line.at_s[-1] if line is not None and line.at_s else float("nan")

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Rebuild the signals from the journal; entries of other kinds are passed over."""
        for entry in entries:
            if entry.kind == SIGNAL:
                self._add(entry.body)

    def forget(self, request_ids: Iterable[str]) -> None:
        """Drop the values of some requests."""
        for request_id in request_ids:
            self._lines.pop(request_id, None)

    def state(self) -> StateTree:
        """Return the values of every request as a state tree."""
        return {
            name: {"at_s": np.array(line.at_s, dtype=np.float64), "target_kw": np.array(line.target_kw, np.float64)}
            for name, line in self._lines.items()
        }

    def load(self, state: StateTree) -> None:
        """Take what ``state`` returned."""
        self._lines = {name: _Line(line["at_s"].tolist(), line["target_kw"].tolist()) for name, line in state.items()}

    def _add(self, body: Any) -> None:  # noqa: ANN401 - a journal's body is JSON
        line = self._lines.setdefault(str(body["id"]), _Line())
        line.at_s += body["at_s"]
        line.target_kw += body["target_kw"]

    def _check(self, at_s: FloatArray, target_kw: FloatArray, capacity_kw: float) -> None:
        if at_s.shape != target_kw.shape or at_s.ndim != 1 or not len(at_s):
            raise InputError("signal", (at_s.shape, target_kw.shape), "as many times as values, at least one")
        if not (np.isfinite(at_s).all() and np.isfinite(target_kw).all()):
            raise InputError("signal", "NaN or infinite", "finite times and values")
        falling = np.flatnonzero(np.diff(at_s) <= 0.0)
        if len(falling):
            row = int(falling[0]) + 1
            raise InputError(f"row {row + 1}, at", clock_words(float(at_s[row])), f"a time after that of row {row}")
        beyond = np.flatnonzero(np.abs(target_kw) > capacity_kw + _SAME_KW)
        if len(beyond):
            field = "target_kw" if len(target_kw) == 1 else f"row {int(beyond[0]) + 1}, target_kw"
            accepted = f"a number from {-capacity_kw:g} to {capacity_kw:g}, what is reserved"
            raise InputError(field, float(target_kw[beyond[0]]), accepted)

    def _check_fresh(self, line: _Line, first_s: float, now_s: float) -> None:
        if line.at_s and first_s <= line.at_s[-1]:
            last, given = instant(line.at_s[-1]).isoformat(), instant(first_s).isoformat()
            raise ConflictError(f"the signal of {given} is refused: the one of {last} was taken already")
        if now_s - first_s > self._rules.stale_s:
            raise ConflictError(
                f"the signal of {instant(first_s).isoformat()} is stale: it came {now_s - first_s:.1f} s later, "
                f"at most {self._rules.stale_s:g} s are accepted"
            )


def clock_words(at_s: float) -> str:
    """Return an instant as ISO-8601 for a message, other numbers as seconds."""
    return instant(at_s).isoformat() if 0.0 <= at_s < _YEAR_2100_S else f"{at_s:g} s"


def _known(line: _Line, at_s: float, target_kw: float) -> bool:
    """Return whether exactly this was taken before."""
    place = bisect_left(line.at_s, at_s)
    taken = place < len(line.at_s) and line.at_s[place] == at_s
    return taken and abs(line.target_kw[place] - target_kw) <= _SAME_KW
