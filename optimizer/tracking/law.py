"""Slow corrections around the merit order: towards the meters, and back to energy neutrality."""

from dataclasses import dataclass

from optimizer.problem.validation import at_least


@dataclass(slots=True, kw_only=True)
class Correction:
    """Adds what the meters show to be missing, slowly enough not to fight the delay between the two.

    Devices that stop by themselves, lag or ignore a command make the sum of the meters differ from the sum of
    setpoints. An integral of that difference is added to the target; the time constant is far above the delay, so it
    cannot swing.

    Attributes:
        time_s: Time constant.
        most_kw: Bound of the correction in both directions.
        value_kw: The correction.
    """

    time_s: float = 40.0
    most_kw: float
    value_kw: float = 0.0

    def update(self, *, expected_kw: float, measured_kw: float, elapsed_s: float) -> float:
        """Return the correction after ``elapsed_s`` in which ``measured_kw`` was seen where ``expected_kw`` was due."""
        at_least("elapsed_s", elapsed_s, 0.0)
        value = self.value_kw + (expected_kw - measured_kw) * min(elapsed_s / self.time_s, 1.0)
        self.value_kw = min(max(value, -self.most_kw), self.most_kw)
        return self.value_kw


@dataclass(slots=True, kw_only=True)
class NeutralDrift:
    """Gives back the energy that following a signal has taken, a little all the time.

    A signal that is neutral over a day may still empty a battery in an hour. What was taken beyond ``spare_kwh`` decays
    with the time constant ``time_s``, unless that asks for more than ``most_kw``: precision is what it costs.

    Attributes:
        time_s: Time constant.
        most_kw: Bound of the bias in both directions.
        spare_kwh: Energy that may be taken or given before any is given back.
        energy_kwh: Energy taken above the base point since the beginning, negative for given.
    """

    time_s: float = 3600.0
    most_kw: float
    spare_kwh: float = 0.0
    energy_kwh: float = 0.0

    def update(self, *, above_base_kw: float, elapsed_s: float) -> float:
        """Return the bias of the load, kW, after ``elapsed_s`` at ``above_base_kw`` above the base point."""
        at_least("elapsed_s", elapsed_s, 0.0)
        self.energy_kwh += above_base_kw * elapsed_s / 3600.0
        owed_kwh = self.energy_kwh - min(max(self.energy_kwh, -self.spare_kwh), self.spare_kwh)
        return min(max(-owed_kwh * 3600.0 / self.time_s, -self.most_kw), self.most_kw)
