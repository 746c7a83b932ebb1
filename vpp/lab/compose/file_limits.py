"""Limits of open files of this process."""

import sys

_ENDLESS = 1_000_000
"""Stands for a limit there is none of."""


def most_files() -> int:
    """Return how many files this process may open at most."""
    if sys.platform == "win32":
        return _ENDLESS
    import resource  # noqa: PLC0415 - not on every platform

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _ENDLESS if most == resource.RLIM_INFINITY else most


def lift_limits() -> None:
    """Allow this process as many files as it may have."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - as above

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
