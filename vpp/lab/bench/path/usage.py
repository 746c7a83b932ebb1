"""CPU time and resident memory of processes, summed by kind."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_USER, _RESIDENT = 11, 21
"""Places of user time and resident pages in ``/proc/PID/stat`` after the name (proc(5))."""


def used(pid: int) -> tuple[float, float]:
    """Return CPU seconds and resident MB of a process, zeros where it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    ticks = int(words[_USER]) + int(words[_USER + 1])
    return ticks / _TICKS, int(words[_RESIDENT]) * _PAGE_MB


def children_of(pid: int) -> list[int]:
    """Return the processes ``pid`` has started and that still run."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


class UsageMeter:
    """Usage of processes by kind; one that has ended keeps the figures of its last sample."""

    def __init__(self) -> None:
        self._kinds: dict[int, str] = {}
        self._cpu_s: dict[int, float] = {}
        self._rss_mb: dict[int, float] = {}

    def watch(self, kind: str, pids: Iterable[int]) -> None:
        """Count these processes as ``kind`` from now on."""
        self._kinds.update(dict.fromkeys(pids, kind))

    def sample(self) -> None:
        """Read the usage of all processes."""
        for pid in self._kinds:
            cpu_s, rss_mb = used(pid)
            if cpu_s:
                self._cpu_s[pid], self._rss_mb[pid] = cpu_s, max(rss_mb, self._rss_mb.get(pid, 0.0))

    def cpu_s(self) -> dict[str, float]:
        """Return CPU seconds by kind as of the last sample."""
        return self._by_kind(self._cpu_s)

    def rss_mb(self) -> dict[str, float]:
        """Return the highest resident memory seen, summed by kind."""
        return self._by_kind(self._rss_mb)

    def _by_kind(self, values: Mapping[int, float]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for pid, value in values.items():
            sums[self._kinds[pid]] = round(sums.get(self._kinds[pid], 0.0) + value, 1)
        return sums
