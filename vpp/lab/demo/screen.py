"""Live view of the demo: progress bars, and target and delivered power over time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from vpp.fleet.calendar import SHANGHAI

STATES = ("scheduled", "preconditioning", "ramping", "holding", "releasing", "rebound_watch", "completed", "settled")
_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 60
_SAMPLE_S = 120.0
_LINE_S = 600.0


class Screen:
    """A live view on a terminal, a line every ten minutes of the clock elsewhere; used as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._live = Live(self._progress, console=console, refresh_per_second=4)
        self._task: TaskID | None = None
        self._samples: list[tuple[float, float]] = []
        self._sampled_s = self._printed_s = float("-inf")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def print_line(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line)

    def begin(self, what: str, total: float) -> None:
        """Begin a bar; the one before is full."""
        self.end()
        self._task = self._progress.add_task(what, total=total, status="")
        if not self._console.is_terminal:
            self._console.print(what)

    def advance(self, completed: float, status: str, *, what: str | None = None) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=completed, status=status, description=what)

    def end(self) -> None:
        """Fill the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=self._progress.tasks[self._task].total, status="")
        self._task = None

    def follow(self, request: Mapping[str, Any], at: datetime) -> None:
        """Show how a request stands: its state, target and delivered power."""
        state, progress = request["state"], request.get("progress")
        clock = f"{at.astimezone(SHANGHAI):%H:%M}"
        if state in STATES:
            self.advance(STATES.index(state), clock, what=state.replace("_", " "))
        if not isinstance(progress, Mapping):
            return
        pair = (float(progress["target_kw"]), float(progress["delivered_kw"]))
        if at.timestamp() - self._sampled_s >= _SAMPLE_S:
            self._sampled_s = at.timestamp()
            self._samples.append(pair)
        if self._console.is_terminal:
            self._live.update(Group(self._progress, *_curves(self._samples, pair)))
        elif at.timestamp() - self._printed_s >= _LINE_S:
            self._printed_s = at.timestamp()
            self._console.print(f"{clock} {state}: target {pair[0]:,.0f} kW, delivered {pair[1]:,.0f} kW")


def _curves(samples: Sequence[tuple[float, float]], now: tuple[float, float]) -> list[Text]:
    """Return target and delivered as a line of bars each, on one scale, with the present figure."""
    shown = samples[-_WIDTH:]
    most = max((kw for pair in shown for kw in pair), default=0.0)
    lines = []
    for place, (name, style) in enumerate((("target", "blue"), ("delivered", "green"))):
        bars = "".join(_bar(pair[place], most) for pair in shown)
        lines.append(Text.assemble(f"{name:10}", (bars, style), f" {now[place]:,.0f} kW"))
    return lines


def _bar(value_kw: float, most_kw: float) -> str:
    if not (most_kw > 0.0 and value_kw > 0.0):
        return _BARS[0]
    return _BARS[min(round(value_kw / most_kw * (len(_BARS) - 1)), len(_BARS) - 1)]
