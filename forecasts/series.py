"""Series with the instant from which they are available, so that a forecast cannot look ahead."""

from dataclasses import dataclass

from numerics.arrays import FloatArray, FloatTable


class SeriesError(ValueError):
    """A series that contradicts itself, or a forecast that would have to know the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Measured means of whole days, ending at the moment the forecast is made.

    Attributes:
        power_kw: Mean power, load positive, NaN where unknown, shape ``(n, days * steps_per_day)``.
        steps_per_day: Steps of one day.
        step_s: Length of a step in seconds.
        end_s: Epoch seconds at which the last step ends.
        available_at_s: Epoch seconds at which the last value could be known: not before its step had ended.
    """

    power_kw: FloatArray | FloatTable
    steps_per_day: int
    step_s: float
    end_s: float
    available_at_s: float

    def __post_init__(self) -> None:
        if self.power_kw.ndim != 2 or self.power_kw.shape[1] % self.steps_per_day:  # noqa: PLR2004 - rows and steps
            raise SeriesError(
                f"expected shape (n, days * {self.steps_per_day}), got {self.power_kw.shape} for power_kw"
            )
        if self.available_at_s < self.end_s:
            raise SeriesError(f"a mean until {self.end_s} cannot be available at {self.available_at_s}")

    @property
    def days(self) -> int:
        """Number of days."""
        return int(self.power_kw.shape[1]) // self.steps_per_day


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """A forecast of mean power on consecutive steps; arrays of shape ``(n, count)``, load positive.

    Attributes:
        start_s: Epoch seconds at which the first step starts.
        available_at_s: Epoch seconds from which it may be used.
        mean_kw: Expected power; unlike quantiles it may be summed over rows.
        spread_kw: Standard deviation of the days it was made from.
        p10_kw: Quantile of 10 %: nine chances in ten that it is more.
        p50_kw: Median.
        p90_kw: Quantile of 90 %.
    """

    start_s: float
    step_s: float
    available_at_s: float
    mean_kw: FloatArray
    spread_kw: FloatArray
    p10_kw: FloatArray
    p50_kw: FloatArray
    p90_kw: FloatArray
