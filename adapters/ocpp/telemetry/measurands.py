"""Measurands requested of a station: never fewer than it reports already, never a shorter list for a longer one."""

from collections.abc import Sequence

WANTED = ("Power.Active.Import", "Energy.Active.Import.Register", "SoC")
NEEDED = WANTED[:2]
"""Sufficient where the state of charge is refused."""
DIRECT = (*WANTED, "Voltage")
"""Where limits are in amperes of direct current, whose power depends on the car's voltage."""
BOTH_WAYS = ("Power.Active.Export", *WANTED)
TAKEN = frozenset({"Accepted", "RebootRequired"})
"""Accepting answers to a setting; the second takes effect from the next boot (1.6 5.3, 2.0.1 B05)."""
REBOOT = "RebootRequired"


def lists_to_try(reported: str | None, wanted: Sequence[str] = WANTED) -> list[str]:
    """Return the lists to set in turn until one is accepted; none where all that is wanted is reported already.

    What a station measures beyond it stays on the list. A shorter list comes last, and only where a measurand is
    missing that control needs.

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
