"""Port of a forecaster of panels, ours or somebody else's: a foundation model with weights of the user's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from forecasts.panel.panel import Panel, View
from forecasts.quantiles.levels import Forecasts
from numerics.arrays import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be forecast at one instant.

    Attributes:
        view: What is known.
        offsets: Steps from the view's issue to the start of each target, shape ``(H,)``.
    """

    view: View
    offsets: IntArray


class Forecaster(Protocol):
    """Forecaster of many series at once, taught from time to time."""

    @property
    def history_days(self) -> int:
        """Days of history that the views of its questions shall have."""

    def fit(self, panel: Panel, asked: Sequence[tuple[int, IntArray]]) -> None:
        """Learn from a panel that ends now.

        Args:
            panel: Everything known, and nothing later.
            asked: Past issues with the offsets of their targets, as will be asked.
        """

    def forecast(self, questions: Sequence[Question]) -> Forecasts:
        """Answer questions, each from its own view alone; rows in the order of questions, targets and series."""
