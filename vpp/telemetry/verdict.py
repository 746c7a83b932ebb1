"""Verdicts and repairs of the plausibility gate, with the word for each."""

from enum import IntEnum


class Verdict(IntEnum):
    """Why a value is refused; the number is its place in counts and is never given to another."""

    UNKNOWN_ROW = 0
    """No such row in the fleet."""
    UNKNOWN_QUANTITY = 1
    """No such quantity."""
    NOT_A_NUMBER = 2
    """NaN or infinite."""
    FUTURE = 3
    """Stamped further ahead of the clock than a clock may be off."""
    RANGE = 4
    """Beyond what the device can do by its nameplate."""
    RATE = 5
    """Further from the value before than the device can have come since."""
    AGE = 6
    """Measured too long ago to describe the present."""
    ORDER = 7
    """Older than what is known already."""
    DUPLICATE = 8
    """What is known already, once more."""

    @property
    def word(self) -> str:
        """The verdict as labels and messages spell it."""
        return self.name.lower()


class Healing(IntEnum):
    """What is repaired and taken; the number is its place in counts."""

    CLIPPED = 0
    """A state of charge a hair above full or below empty."""
    CLOCK_AHEAD = 1
    """A stamp some minutes ahead of the clock, taken as now."""
    NEW_BEGINNING = 2
    """A register or a state of charge that jumped and stood: a new beginning."""

    @property
    def word(self) -> str:
        """The repair as labels spell it."""
        return self.name.lower()


HEALINGS = tuple(Healing)
