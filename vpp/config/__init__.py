"""Settings of a process, and the forms they are written in."""

from vpp.config.settings import Settings
from vpp.config.values import address_of, expected_calls_of, hours_of, paths_of, windows_of

__all__ = ["Settings", "address_of", "expected_calls_of", "hours_of", "paths_of", "windows_of"]
