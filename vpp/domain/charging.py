"""Least power of charging: a car that is offered less than six amperes a phase pauses (IEC 61851-1)."""

MIN_AC_A = 6.0
"""Least current that can be signalled to an AC car (IEC 61851-1)."""
AC_MOST_KW = 44.0
"""Three phases of 63 A and a little; charging points above are DC."""
LEAST_DC_KW = 1.0
"""Least power a DC car is charged with."""
_VOLTS = 230.0
"""Phase-to-neutral voltage (IEC 60038); the greater of those in use, as the least power must not be taken too low."""


def least_charging_kw(p_max_kw: float, floor_kw: float, phases: int) -> float:
    """Return the least power a car draws at a charging point; offered less, it pauses.

    Args:
        p_max_kw: Greatest power of the point.
        floor_kw: Least power without stopping as registered, 0 where none was stated.
        phases: Number of AC phases.
    """
    if floor_kw > 0.0:
        return floor_kw
    return LEAST_DC_KW if p_max_kw > AC_MOST_KW else MIN_AC_A * _VOLTS * phases / 1000.0
