"""Fast time that the processes of a story share: it waits for the slowest, so no verdict depends on the machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from vpp.runtime.pace import PacedClock, PaceFile, Pacer

_STARTING_RATIO = 0.01
"""Share of full speed while a program starts in a hold: before it runs, time cannot wait for it, and a slow machine
needs minutes to start one. Time does not stand still: the program may wait for another's lease to end."""


class FastTime(PacedClock):
    """The common time of several processes.

    Attributes:
        settings: Settings of a program that shares it.
    """

    def __init__(self, page: PaceFile, pacer: Pacer) -> None:
        super().__init__(page)
        self.settings: Mapping[str, object] = {"CLOCK_PACE": page.path}
        self._pacer = pacer

    @classmethod
    @contextmanager
    def starting(cls, start_at: datetime, speed: float, folder: Path) -> Iterator[Self]:
        """Yield a time that begins at ``start_at`` and passes at up to ``speed`` times that of the wall."""
        page = PaceFile.create(folder / "pace", start_s=start_at.timestamp(), speed=speed)
        try:
            with Pacer(page) as pacer:
                yield cls(page, pacer)
        finally:
            page.close()

    @contextmanager
    def slowly(self) -> Iterator[None]:
        """Pass slowly inside, while a program starts."""
        self._pacer.slow_down(_STARTING_RATIO)
        try:
            yield
        finally:
            self._pacer.slow_down(1.0)
