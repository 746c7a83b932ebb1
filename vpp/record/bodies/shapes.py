"""Shapes of bodies: what each field of a kind has to be before its reader takes it.

A shape checks what the reader of a kind relies on, and nothing else: a field that an earlier version did not write may
be missing, one that no reader looks at may be anything.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import numpy as np

from vpp.record.bodies.fields import BodyError, Fields, number_of, refused

Shape = Callable[[object, str], None]
"""Called with a value and its place; raises BodyError, which names both and what is accepted."""


def anything(_value: object, _where: str) -> None:
    """Accept whatever there is."""


def text(value: object, where: str) -> None:
    """Accept a text."""
    if not isinstance(value, str):
        raise refused(where, value, "a text")


def whole(value: object, where: str) -> None:
    """Accept a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise refused(where, value, "a whole number")


def number(value: object, where: str) -> None:
    """Accept a number, ``null`` where it is unknown."""
    number_of(value, where)


def flag(value: object, where: str) -> None:
    """Accept true or false."""
    if not isinstance(value, bool):
        raise refused(where, value, "true or false")


def known_number(value: object, where: str) -> None:
    """Accept a number that is known."""
    if value is None:
        raise refused(where, value, "a number")
    number_of(value, where)


def worded_number(value: object, where: str) -> None:
    """Accept a number, or the word of one that JSON lacks."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError as error:
            raise refused(where, value, "a number, or nan, inf or -inf") from error
    else:
        known_number(value, where)


def moment(value: object, where: str) -> None:
    """Accept an instant in ISO 8601 with its offset from UTC."""
    try:
        aware = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise refused(where, value, "an instant in ISO 8601 with its offset")


def column(value: object, where: str) -> None:
    """Accept a column: an array, a list of numbers, or the text that earlier versions wrote."""
    if isinstance(value, str | np.ndarray):
        return
    if not isinstance(value, list):
        raise refused(where, value, "a column of numbers")
    for place, one in enumerate(value):
        number(one, f"{where}[{place}]")


def table(value: object, where: str) -> None:
    """Accept numbers in any dimensions: an array, lists of lists, or the compressed text of earlier versions."""
    if isinstance(value, Mapping):
        fields({"zlib_f8": text, "shape": list_of(whole)})(value, where)
        return
    try:
        np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refused(where, value, "an array of numbers") from error
    if not isinstance(value, list | np.ndarray):
        raise refused(where, value, "an array of numbers")


def one_of(values: Iterable[str]) -> Shape:
    """Return the shape that accepts some texts, e.g. the values of an enumeration of texts."""
    accepted = [str(one) for one in values]

    def check(value: object, where: str) -> None:
        if value not in accepted:
            raise refused(where, value, f"one of {', '.join(accepted)}")

    return check


def optional(shape: Shape) -> Shape:
    """Return the shape that accepts ``null`` as well."""

    def check(value: object, where: str) -> None:
        if value is not None:
            shape(value, where)

    return check


def list_of(shape: Shape) -> Shape:
    """Return the shape that accepts a list, or an array, of what ``shape`` accepts."""

    def check(value: object, where: str) -> None:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            raise refused(where, value, "a list")
        for place, one in enumerate(value):
            shape(one, f"{where}[{place}]")

    return check


def tuple_of(*shapes: Shape) -> Shape:
    """Return the shape that accepts a list with one value for each of ``shapes``."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, list | tuple) or len(value) != len(shapes):
            raise refused(where, value, f"a list of {len(shapes)} values")
        for place, (shape, one) in enumerate(zip(shapes, value, strict=True)):
            shape(one, f"{where}[{place}]")

    return check


def map_of(shape: Shape) -> Shape:
    """Return the shape that accepts an object whose every value ``shape`` accepts."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise refused(where, value, "an object")
        for name, one in value.items():
            shape(one, f"{where}.{name}")

    return check


def fields(required: Mapping[str, Shape], later: Mapping[str, Shape] | None = None) -> Shape:
    """Return the shape that accepts an object with all ``required`` fields; those of ``later`` may be missing."""

    def check(value: object, where: str) -> None:
        body = Fields(value, where)
        for name, shape in required.items():
            shape(body.any(name), f"{where}.{name}")
        for name, shape in (later or {}).items():
            if name in body:
                shape(body.any(name), f"{where}.{name}")

    return check


def of_lengths(names: Iterable[str], shape: Shape) -> Shape:
    """Return the shape that accepts what ``shape`` does if the lists under some ``names`` are equally long."""
    alike = tuple(names)

    def check(value: object, where: str) -> None:
        shape(value, where)
        body = Fields(value, where)
        lengths = {name: len(one) for name in alike if not isinstance(one := body.any(name), str)}
        if len(set(lengths.values())) > 1:
            raise BodyError(
                f"{where}: {', '.join(alike)} have {list(lengths.values())} values; accepted is as many each"
            )

    return check
