"""Journal entries of dispatch: how each room writes them."""

from collections.abc import Callable, Mapping

Record = Callable[[str, float, Mapping[str, object]], object]
"""Appends one journal entry: kind, epoch seconds, body."""
