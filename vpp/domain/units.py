"""Factors between the units that names carry."""

SECONDS_PER_MINUTE = 60.0
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0
STEP_S = 900
"""Length of a settlement and planning step: 15 minutes, 96 a day."""
STEPS_PER_DAY = 96
WATT = 3
"""Decimals of a power in kW that is kept to the watt."""
