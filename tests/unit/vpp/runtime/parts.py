"""A machine whose clocks the test sets."""

from vpp.runtime.clock import MachineTime


class SetMachine(MachineTime):
    """A machine whose clock can be set; ``steady`` passes by itself only when told to."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0

    def wall_s(self) -> float:
        """Return the wall's time."""
        return self.wall

    def steady_s(self) -> float:
        """Return the steady time."""
        return self.steady

    def let_pass(self, seconds: float, *, drift: float = 0.0) -> None:
        """Let seconds pass, on the wall a little more or less."""
        self.wall += seconds * (1.0 + drift)
        self.steady += seconds
