"""Settings that are written as text: addresses, paths, reserve windows, expected calls."""

import re
from urllib.parse import urlsplit

HOURS_PER_DAY = 24.0


def paths_of(value: str) -> tuple[str, ...]:
    """Return the patterns in ``/PATH/{id},...``.

    Raises:
        ValueError: It is not of that form.
    """
    paths = tuple(filter(None, (part.strip() for part in value.split(","))))
    if not paths:
        raise ValueError("give at least one path, e.g. /ocpp/{id}")
    for path in paths:
        if not path.startswith("/") or path.count("{id}") != 1 or not path.isascii() or set(path) & set(" ?#%"):
            raise ValueError(f"give /PATH/{{id}} with {{id}} once, not {path!r}")
    return paths


def windows_of(value: str) -> tuple[tuple[float, float, float], ...]:
    """Return first hour, last hour and kW of every window in ``FROM-UNTIL=KW,...``.

    Raises:
        ValueError: It is not of that form.
    """
    windows = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)=(\d+(?:\.\d+)?)", part)
        hours = (float(found[1]), float(found[2])) if found else (-1.0, -1.0)
        if found is None or not all(0.0 <= hour <= HOURS_PER_DAY for hour in hours):
            raise ValueError(f"give FROM-UNTIL=KW with hours from 0 to 24, not {part!r}")
        windows.append((*hours, float(found[3])))
    return tuple(windows)


def hours_of(value: str) -> tuple[float, float]:
    """Return first and last hour of ``FROM-UNTIL``.

    Raises:
        ValueError: It is not of that form, or ends before it begins.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", value.strip())
    first, last = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not 0.0 <= first < last <= HOURS_PER_DAY:
        raise ValueError(f"give FROM-UNTIL with hours from 0 to 24, not {value!r}")
    return first, last


LEARNT, NEVER = "learnt", "never"
_EXPECTED = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)=(\d+(?:\.\d+)?)@(\d+(?:\.\d+)?)")


def expected_calls_of(value: str) -> tuple[tuple[float, float, float, float], ...] | None:
    """Return first hour, last hour, kW and chance of every stretch in ``FROM-UNTIL=KW@CHANCE,...``.

    Returns:
        None of them for ``never``; ``None`` for ``learnt``.

    Raises:
        ValueError: It is not of that form.
    """
    if value.strip() in {LEARNT, NEVER}:
        return None if value.strip() == LEARNT else ()
    found = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        match = _EXPECTED.fullmatch(part)
        hours = (float(match[1]), float(match[2])) if match else (-1.0, -1.0)
        chance = float(match[4]) if match else -1.0
        if match is None or not all(0.0 <= hour <= HOURS_PER_DAY for hour in hours) or not 0.0 <= chance <= 1.0:
            raise ValueError(
                f"give {LEARNT}, {NEVER}, or FROM-UNTIL=KW@CHANCE with hours from 0 to 24 and chances from 0 to 1,"
                f" not {part!r}"
            )
        found.append((*hours, float(match[3]), chance))
    if not found:
        raise ValueError(f"give {LEARNT}, {NEVER}, or FROM-UNTIL=KW@CHANCE, not {value!r}")
    return tuple(found)


def address_of(value: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises:
        ValueError: It is not of that form.
    """
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 1 << 16:
        raise ValueError(f"give HOST:PORT with a port from 0 to 65535, not {value!r}")
    return host.strip("[]"), int(port)


def web_address_of(value: str) -> str:
    """Return a URL as it was given.

    Raises:
        ValueError: It is no ``http[s]://HOST/PATH``.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("give http://HOST/PATH or https://HOST/PATH")
    return value
