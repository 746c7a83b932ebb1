"""Refusals of imported values, counted by where they came in."""

from collections.abc import Iterator
from contextlib import contextmanager

from vpp.domain.errors import InputError
from vpp.runtime.observability import Metrics


@contextmanager
def counting_refusals(metrics: Metrics, door: str) -> Iterator[None]:
    """Count what is refused inside for what it says; ``door`` is one of `vpp.runtime.vitals.DOORS`."""
    try:
        yield
    except InputError:
        metrics.count_import_rejected(door)
        raise
