"""Which readings a station is asked for: never fewer than it gives already, and never a shorter list for a longer."""

from collections.abc import Sequence

WANTED = ("Power.Active.Import", "Energy.Active.Import.Register", "SoC")
NEEDED = WANTED[:2]
"""What to be content with where the state of charge is refused."""
DIRECT = (*WANTED, "Voltage")
"""Where limits are written in amperes of direct current: what they amount to is the car's voltage."""
BOTH_WAYS = ("Power.Active.Export", *WANTED)
TAKEN = frozenset({"Accepted", "RebootRequired"})
"""Answers to a setting that mean yes; the second holds from the next boot on (1.6 5.3, 2.0.1 B05)."""
REBOOT = "RebootRequired"


def lists_to_try(reported: str | None, wanted: Sequence[str] = WANTED) -> list[str]:
    """Return the lists to ask for in turn until one is taken; none where all that is wanted is there already.

    What a station measures beyond it stays on the list. A shorter list comes last, and only where something is
    missing that no control can do without.

    Args:
        reported: What the station measures now, ``None`` where it does not say.
        wanted: What is wanted.
    """
    words = () if reported is None else (part.strip() for part in reported.split(","))
    has = [word for word in words if word]
    if set(has) >= set(wanted) or set(has) == set(NEEDED):  # the latter: the rest was refused before
        return []
    lists = [[*wanted, *(word for word in has if word not in wanted)]]
    if not set(has) >= set(NEEDED):
        lists += [list(wanted), list(WANTED), list(NEEDED)]
    return list(dict.fromkeys(",".join(words) for words in lists))
