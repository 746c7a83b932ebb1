"""Immutable mapping of a few keys, in half the memory of a dictionary."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")
Other = TypeVar("Other")


class CompactMap(Mapping[Key, Value]):
    """Keys and values in one tuple, searched from the front; for what is kept of every station.

    Args:
        pairs: Keys, each once, with their values; their order is kept.
        flat: Keys and values in turn, in place of ``pairs``.
    """

    __slots__ = ("_flat",)

    def __init__(self, pairs: Iterable[tuple[Key, Value]] = (), *, flat: tuple[Any, ...] | None = None) -> None:
        self._flat: tuple[Any, ...] = tuple(chain.from_iterable(pairs)) if flat is None else flat

    def __getitem__(self, key: Key) -> Value:
        position = self._find(key)
        if position < 0:
            raise KeyError(key)
        value: Value = self._flat[position + 1]
        return value

    def __iter__(self) -> Iterator[Key]:
        return iter(self._flat[::2])

    def __len__(self) -> int:
        return len(self._flat) // 2

    def __contains__(self, key: object) -> bool:
        return key in self._flat[::2]

    @overload
    def get(self, key: Key, /) -> Value | None: ...
    @overload
    def get(self, key: Key, /, default: Value | Other) -> Value | Other: ...
    def get(self, key: Key, /, default: Value | Other | None = None) -> Value | Other | None:
        """Return the value of a key, ``default`` where there is none."""
        flat, position = self._flat, 0
        size = len(flat)
        while position < size:  # as ``_find``, without its call
            if flat[position] == key:
                value: Value = flat[position + 1]
                return value
            position += 2
        return default

    def plus(self, key: Key, value: Value) -> "CompactMap[Key, Value]":
        """Return the mapping with a value for a key, in the place of the one it had."""
        flat, position = self._flat, self._find(key)
        if position < 0:
            return CompactMap(flat=(*flat, key, value))
        return CompactMap(flat=(*flat[: position + 1], value, *flat[position + 2 :]))

    def minus(self, key: Key) -> "CompactMap[Key, Value]":
        """Return the mapping without a key, ``EMPTY`` where it held no other."""
        flat, position = self._flat, self._find(key)
        if position < 0:
            return self
        rest = flat[:position] + flat[position + 2 :]
        return CompactMap(flat=rest) if rest else EMPTY

    def _find(self, key: Key) -> int:
        """Return the place of a key, -1 where there is none."""
        flat, position = self._flat, 0
        size = len(flat)
        while position < size:  # half the time of a ``for`` over a range
            if flat[position] == key:
                return position
            position += 2
        return -1


EMPTY: CompactMap[Any, Any] = CompactMap()
"""Shared by all that hold nothing.

Frequent paths compare with it by identity, which costs a fifth of asking for a length.
"""
