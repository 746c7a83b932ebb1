"""Refusals of imported values, counted by where they came in."""

from collections.abc import Iterator
from contextlib import contextmanager

from vpp.domain.errors import InputError
from vpp.runtime.observability import Metrics


@contextmanager
def counting_refusals(metrics: Metrics, kind: str) -> Iterator[None]:
    """Count what is refused inside for what it says; ``kind`` is one of `vpp.runtime.vitals.IMPORTS`."""
    try:
        yield
    except InputError:
        metrics.count_import_rejected(kind)
        raise
