"""The domain's vocabulary: frozen dataclasses, enums and numpy arrays, one concept a module; no I/O, no clock.

Load convention everywhere: consumption, import and charging are positive, production, export and discharging
negative. Power is kW, energy kWh, state of charge 0-1, instants inside arrays are UTC epoch seconds (``_s``).
Unknown is NaN, never zero.
"""
