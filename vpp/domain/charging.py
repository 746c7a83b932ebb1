"""Least power of charging: a car that is offered less than six amperes a phase pauses (IEC 61851-1)."""

MIN_AC_A = 6.0
"""Least current that can be signalled to an AC car (IEC 61851-1)."""
AC_MOST_KW = 44.0
"""Three phases of 63 A and a little; charging points above are DC."""
LEAST_DC_KW = 1.0
"""Least power a DC car is charged with."""
MOST_V = 230.0
"""Phase-to-neutral voltage (IEC 60038); the greater of those in use, as the least power must not be taken too low."""


def is_dc(p_max_kw: float) -> bool:
    """Tell whether a charging point of this greatest power is DC."""
    return p_max_kw > AC_MOST_KW


def least_charging_kw(p_max_kw: float, phases: int, volts: float = MOST_V) -> float:
    """Return the least power a car draws at a charging point; offered less, it pauses.

    Args:
        p_max_kw: Greatest power of the point.
        phases: Number of AC phases.
        volts: Phase-to-neutral voltage.
    """
    return LEAST_DC_KW if is_dc(p_max_kw) else MIN_AC_A * volts * phases / 1000.0
